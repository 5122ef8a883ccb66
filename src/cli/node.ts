/** The composition root: makes the parts of a node, wires them, and ends them in order. */
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { isLoopback } from '../api/http/access.js';
import type { NodeView } from '../api/ports.js';
import { createApiServer } from '../api/server.js';
import { type AppliedEvent, ControlPlane } from '../cluster/controlPlane.js';
import { lockHome } from '../cluster/homeLock.js';
import { loadIdentity } from '../cluster/identity.js';
import { makeHome } from '../cluster/privateFiles.js';
import { Requests } from '../cluster/requests.js';
import { runnersOf } from '../control/instances.js';
import type { InstanceRecord } from '../control/state.js';
import { type Telemetry, viewEvent, viewState } from '../control/view.js';
import { ModelCatalogue } from '../models/catalogue.js';
import { refuseTooLarge } from '../models/memoryVerdict.js';
import { ShoalError } from '../shared/errors.js';
import type { InstanceId, ModelId, NodeId, RunnerId } from '../shared/ids.js';
import { createLog } from '../telemetry/log.js';
import { Metrics, type NodeLoad } from '../telemetry/metrics.js';
import { type Fit, fitModel } from '../worker/fitModel.js';
import { Leftovers } from '../worker/leftovers.js';
import { type LocalModel, Worker } from '../worker/worker.js';
import { computeThreads } from './computeThreads.js';
import { readNodeMemory } from './nodeMemory.js';
import type { UpOptions } from './upOptions.js';

const RUNNER_ENTRY = fileURLToPath(new URL('../runner/main.js', import.meta.url));

interface ModelProgress {
  readonly modelId: ModelId;
  readonly fraction: number;
  readonly phase: string;
}

export interface RunningNode {
  readonly nodeId: NodeId;
  readonly apiUrl: string;
  readonly served: readonly ModelId[];
  /** How far each served model is. */
  progress(): ModelProgress[];
  /** Lets running requests end for a while, then ends runners and API. */
  stop(): Promise<void>;
}

/** @throws {ShoalError} when a model cannot be served, the port is taken, or the home cannot be used */
export async function startNode(options: UpOptions): Promise<RunningNode> {
  requireKeyBeyondLoopback(options);
  makeHome(options.home);
  const unlockHome = await lockHome(options.home);
  const { nodeId } = loadIdentity(options.home);
  const log = createLog({ level: options.logLevel, json: options.logJson });
  const leftovers = new Leftovers(options.home, (error) => {
    log.error({ err: error }, 'the record of runners cannot be written');
  });
  for (const pid of await leftovers.end()) log.warn({ pid }, 'ended a runner of an earlier life');
  const catalogue = new ModelCatalogue({ directories: options.models });
  const instances = await placeModels(catalogue, nodeId, options);
  const models = new Map(
    instances.map(({ instance, path, threads }) => [instance.modelId, { path, threads }]),
  );

  const controlPlane = new ControlPlane(Date.now);
  const worker = new Worker(
    {
      controlPlane,
      leftovers,
      model: (modelId) => models.get(modelId) ?? { path: modelId, threads: 1 },
      onOutputLine: (runnerId, line) => log.debug({ runner_id: runnerId, line }, 'runner output'),
      onFailure: (runnerId, failure) => {
        metrics.runnerFailed(failure.code, failure.signal ?? `exit ${failure.exitCode ?? 'unknown'}`);
        log.error({ runner_id: runnerId, ...failure }, 'runner failed');
      },
    },
    {
      nodeId,
      runnerEntry: RUNNER_ENTRY,
      gpuLayers: options.gpuLayers,
      allowFailpoints: options.failpoints,
    },
  );
  const metrics = new Metrics({ load: () => totalLoad(worker) });
  const requests = new Requests({
    controlPlane,
    openStream: (runnerId, request) => worker.generate(runnerId, request),
    onEnded: (_, end) => {
      if (end.kind === 'finished') metrics.generationFinished(end.stats);
    },
  });
  const view: NodeView = {
    nodeId,
    state: () => viewState(controlPlane.state, telemetry(worker, nodeId), nodeId),
    followEvents: (since, listener) => {
      const tell = (applied: AppliedEvent) =>
        listener({ index: applied.index, event: viewEvent(applied.event) });
      const missed = since === null ? [] : controlPlane.eventsSince(since);
      if (missed === null) listener({ index: controlPlane.state.index, state: view.state() });
      else for (const applied of missed) tell(applied);
      return controlPlane.listen((event, { index }) => tell({ index, event }));
    },
    notReadyReason: () => null,
    models: async () => {
      const offeredBytes = options.memory ?? readNodeMemory().totalBytes;
      return (await catalogue.list()).map((listing) => refuseTooLarge(listing, offeredBytes));
    },
    metrics: () => metrics.text(),
  };
  const app = createApiServer(
    {
      generations: requests,
      observer: metrics,
      log,
      view,
      ...(options.failpoints ? { failpoints: worker } : {}),
    },
    { host: options.apiHost, apiKeys: options.apiKey, allowedOrigins: options.allowOrigin },
  );
  const apiUrl = await listen(app, options);
  metrics.start();
  logControlEvents(controlPlane, log, metrics);
  controlPlane.publish({ kind: 'MasterElected', nodeId, term: 1 });
  controlPlane.publish({
    kind: 'NodeJoined',
    node: { nodeId, name: options.name, status: 'alive', addresses: [] },
  });
  worker.start();
  for (const { instance } of instances) controlPlane.publish({ kind: 'InstanceCreated', instance });

  return {
    nodeId,
    apiUrl,
    served: instances.map(({ instance }) => instance.modelId),
    progress: () => progress(controlPlane, worker),
    stop: async () => {
      await app.close();
      await worker.stop();
      metrics.close();
      unlockHome();
    },
  };
}

/** A key travels with every request, so that an open port does not mean an open model. */
function requireKeyBeyondLoopback({ apiHost, apiKey, insecure }: UpOptions): void {
  if (isLoopback(apiHost) || apiKey.length > 0 || insecure) return;
  throw new ShoalError(
    'invalid_request',
    `--api-host ${apiHost} can be reached by others: add --api-key KEY, or --insecure if everybody may use it`,
    { param: 'api-host' },
  );
}

interface PlacedModel extends LocalModel {
  readonly instance: InstanceRecord;
}

/** Finds each model and fits it into what the ones before it have left of the memory. */
async function placeModels(
  catalogue: ModelCatalogue,
  nodeId: NodeId,
  options: UpOptions,
): Promise<PlacedModel[]> {
  let availableBytes = options.memory ?? readNodeMemory().availableBytes;
  const placed: PlacedModel[] = [];
  for (const name of options.serve) {
    const { modelId, path, card } = await catalogue.resolve(name);
    if (placed.some(({ instance }) => instance.modelId === modelId)) continue;
    const fit = fitModel(card, availableBytes, {
      contextTokens: options.context,
      sequences: options.sequences,
    });
    availableBytes -= fit.memory.totalBytes;
    const threads = options.threads ?? computeThreads(fit.memory.weightsBytes);
    placed.push({ path, threads, instance: newInstance(nodeId, modelId, card.layers, fit) });
  }
  return placed;
}

function newInstance(nodeId: NodeId, modelId: ModelId, layers: number, fit: Fit): InstanceRecord {
  const shard = {
    rank: 0,
    worldSize: 1,
    nodeId,
    runnerId: randomUUID() as RunnerId,
    startLayer: 0,
    endLayer: layers,
    memoryBytes: fit.memory.totalBytes,
  };
  return {
    instanceId: randomUUID() as InstanceId,
    metaInstanceId: null,
    modelId,
    sharding: 'Pipeline',
    transport: 'Ring',
    contextLength: fit.contextTokens,
    maxSequences: fit.sequences,
    cacheCells: fit.cacheCells,
    shards: [shard],
  };
}

async function listen(app: FastifyInstance, { apiHost, apiPort }: UpOptions): Promise<string> {
  try {
    return await app.listen({ host: apiHost, port: apiPort });
  } catch (error) {
    await app.close();
    const reason =
      (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
        ? 'another program, perhaps another node, has it; stop that one or choose another with --api-port'
        : (error as Error).message;
    throw new ShoalError('not_ready', `the API cannot listen on ${apiHost}:${apiPort}: ${reason}`);
  }
}

function logControlEvents(controlPlane: ControlPlane, log: Logger, metrics: Metrics): void {
  controlPlane.listen((event) => {
    if (event.kind === 'RunnerStatusChanged') {
      const { runnerId, status, pid, restarts } = event;
      if (status === 'spawned' && restarts > 0) metrics.runnerRestarted();
      log.info({ runner_id: runnerId, status, pid, restarts }, 'runner status');
    } else if (event.kind === 'InstanceCreated') {
      const { instanceId, modelId, contextLength, maxSequences, cacheCells } = event.instance;
      const size = { context_length: contextLength, max_sequences: maxSequences, cache_cells: cacheCells };
      log.info({ instance_id: instanceId, model_id: modelId, ...size }, 'instance created');
    }
  });
}

function telemetry(worker: Worker, nodeId: NodeId): Telemetry {
  const { totalBytes, availableBytes } = readNodeMemory();
  return {
    nodes: new Map([
      [nodeId, { memory: { totalBytes, availableBytes }, lastSeen: new Date().toISOString() }],
    ]),
    runners: new Map(
      [...worker.telemetry()].map(([runnerId, { progress, model, load }]) => [
        runnerId,
        { progress, model, load },
      ]),
    ),
  };
}

function totalLoad(worker: Worker): NodeLoad {
  const total = { runningSequences: 0, queuedRequests: 0, usedCells: 0, totalCells: 0 };
  let heartbeatAgeMs = 0;
  for (const { load, heartbeatAtMs } of worker.telemetry().values()) {
    if (load === null || heartbeatAtMs === null) continue;
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += load[key];
    heartbeatAgeMs = Math.max(heartbeatAgeMs, performance.now() - heartbeatAtMs);
  }
  return { ...total, heartbeatAgeMs };
}

function progress(controlPlane: ControlPlane, worker: Worker): ModelProgress[] {
  const facts = worker.telemetry();
  return [...controlPlane.state.instances.values()].map((instance) => {
    const [runner] = runnersOf(controlPlane.state, instance);
    const phase = runner?.error != null && runner.status === 'failed' ? runner.error.message : runner?.status;
    const fraction = runner?.status === 'ready' ? 1 : (runner && facts.get(runner.runnerId)?.progress) || 0;
    return { modelId: instance.modelId, fraction, phase: phase ?? 'starting' };
  });
}
