/** The composition root: makes the parts of a node, wires them, and ends them in order. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { FastifyInstance } from 'fastify';
import { isLoopback } from '../api/http/access.js';
import { createApiServer } from '../api/server.js';
import { Calls } from '../cluster/calls/calls.js';
import { CancelCalls } from '../cluster/calls/cancelCalls.js';
import { rankSecret } from '../cluster/clusterKey.js';
import type { ClusterNode } from '../cluster/clusterNode.js';
import { GenerationServer } from '../cluster/generations/generationServer.js';
import { RemoteGenerations } from '../cluster/generations/remoteGenerations.js';
import { RequestRouter } from '../cluster/generations/requestRouter.js';
import { formatToken } from '../cluster/joinToken.js';
import { LinkSpeeds } from '../cluster/linkSpeeds.js';
import { Registers } from '../cluster/registers.js';
import { Requests } from '../cluster/requests.js';
import { Gatherings } from '../cluster/sideChannel/gatherings.js';
import { ModelCatalogue, type ResolvedModel } from '../models/catalogue.js';
import { refuseTooLarge } from '../models/memoryVerdict.js';
import { ShoalError, toFault } from '../shared/errors.js';
import type { ModelId, NodeId } from '../shared/ids.js';
import { TIMES } from '../shared/limits.js';
import { LastHour } from '../telemetry/lastHour.js';
import { createLog } from '../telemetry/log.js';
import { Metrics } from '../telemetry/metrics.js';
import { Leftovers } from '../worker/leftovers.js';
import { RankMeetings } from '../worker/rankMeetings.js';
import { type LocalModel, Worker } from '../worker/worker.js';
import { Closers } from './closers.js';
import { PeopleCommands } from './clusterCommands.js';
import { meetOthers, openCluster } from './clusterParts.js';
import { computeThreads } from './computeThreads.js';
import { Failpoints } from './failpoints.js';
import { logCluster } from './logCluster.js';
import { clusterFigures, isIdle, readRegister, totalLoad } from './measures.js';
import { type ModelProgress, modelProgress } from './modelProgress.js';
import { readNodeMemory } from './nodeMemory.js';
import { createNodeView } from './nodeView.js';
import { declareServed, modelsHere, resolveServed, type ServedWish, wishesFor } from './servedModels.js';
import { meterSpeed } from './speedMeter.js';
import type { UpOptions } from './upOptions.js';
import { readHour, watchHour } from './watchHour.js';

const RUNNER_ENTRY = fileURLToPath(new URL('../runner/main.js', import.meta.url));
const CREATE_RETRY_MS = 1_000;
/** How long a start waits for a master and the instances of `--serve`. */
const FIRST_MASTER_MS = 10_000;

export interface RunningNode {
  readonly nodeId: NodeId;
  /** Null with `--no-api`. */
  readonly apiUrl: string | null;
  /** `HOST:PORT` where peers reach this node. */
  readonly peerAddress: string;
  readonly served: readonly ModelId[];
  /** How far each served model is. */
  progress(): ModelProgress[];
  /** Names of the other nodes that are linked. */
  peers(): string[];
  /** Lets running requests end for a while, then ends runners, API and links. */
  stop(): Promise<void>;
}

/** @throws {ShoalError} when a model cannot be served, a port is taken, or the home cannot be used */
export async function startNode(options: UpOptions): Promise<RunningNode> {
  requireKeyBeyondLoopback(options);
  const closers = new Closers();
  try {
    return await compose(options, closers);
  } catch (error) {
    await closers.close();
    throw error;
  }
}

async function compose(options: UpOptions, closers: Closers): Promise<RunningNode> {
  const log = createLog({ level: options.logLevel, json: options.logJson });
  const catalogue = new ModelCatalogue({ directories: options.models });
  const served = await resolveServed(catalogue, options);
  const onUnreadable = (folder: string, reason: string) =>
    log.warn({ folder }, `no model is found in the folder ${folder} of --models: ${reason}`);
  const models = options.worker ? await modelsHere(catalogue, served, options.models, onUnreadable) : [];
  const parts = await openCluster(options, models, log, closers);
  const { cluster, links, node } = parts;
  const { nodeId } = node;
  const leftovers = new Leftovers(options.home, (error) => {
    log.error({ err: error }, 'the record of runners cannot be written');
  });
  for (const pid of await leftovers.end()) log.warn({ pid }, 'ended a runner of an earlier life');

  const calls = new Calls({
    links,
    onBug: (call, error) => log.error({ err: error, call }, 'a call of another node failed'),
  });
  const gatherings = new Gatherings({ nodeId, calls, cluster });
  closers.add(() => gatherings.close());
  const ranks = new RankMeetings(
    {
      gather: (contribution, signal) => gatherings.gather(contribution, signal),
      secretOf: (instanceId, attempt) => rankSecret(parts.clusterKey, instanceId, attempt),
    },
    { folder: join(options.home, 'side-channels') },
  );
  const worker = new Worker(
    {
      cluster,
      leftovers,
      ranks,
      model: findModel(catalogue, served, options),
      onOutputLine: (runnerId, line) => log.debug({ runner_id: runnerId, line }, 'runner output'),
      onFailure: (runnerId, failure) => {
        metrics.runnerFailed(failure.code, failure.signal ?? `exit ${failure.exitCode ?? 'unknown'}`);
        log.error({ runner_id: runnerId, ...failure }, 'runner failed');
      },
    },
    { nodeId, runnerEntry: RUNNER_ENTRY, gpuLayers: options.gpuLayers, allowFailpoints: options.failpoints },
  );
  const metrics = new Metrics({
    load: () => totalLoad(worker),
    cluster: () => clusterFigures(parts, remote.openCount, server.openCount),
  });
  const remote = new RemoteGenerations({ links });
  const server = new GenerationServer(
    { links, generate: (runnerId, request) => worker.generate(runnerId, request) },
    { allowFailpoints: options.failpoints },
  );
  const router = new RequestRouter(
    { generate: (runnerId, request) => worker.generate(runnerId, request), remote, server },
    { nodeId },
  );
  const requests = new Requests({
    cluster,
    openStream: (to, runnerId, request) => router.openStream(to, runnerId, request),
    onEnded: (_, end) => {
      if (end.kind === 'finished') metrics.generationFinished(end.stats);
    },
    onMoved: ({ commandId }, { from, to, reason, waitedMs }) => {
      metrics.requestMoved(reason.code, waitedMs);
      log.warn(
        { command_id: commandId, from, to, reason, waited_ms: Math.round(waitedMs) },
        'an answer goes on at another place',
      );
    },
  });
  const cancels = new CancelCalls({ calls, links, cancelHere: (commandId) => requests.cancel(commandId) });
  const linkSpeeds = new LinkSpeeds({
    calls,
    links,
    isIdle: () => isIdle(parts, worker) && remote.openCount === 0,
  });
  const speed = meterSpeed(options, leftovers, () => isIdle(parts, worker), log);
  const readOwn = () => readRegister(parts, { worker, linkSpeeds, speed }, apiUrl ?? '');
  const registers = new Registers({ nodeId, links, cluster, read: readOwn, now: Date.now });
  const failpoints = new Failpoints({ nodeId, calls, worker, links, failStore: parts.failStore });
  if (options.failpoints) failpoints.serve();
  const hour = new LastHour({
    read: () => readHour({ nodeId, cluster, registers, readRegister: readOwn }),
    now: Date.now,
  });
  const view = createNodeView(nodeId, {
    cluster,
    registers,
    readRegister: readOwn,
    models: async () => {
      const offeredBytes = options.memory ?? readNodeMemory().totalBytes;
      return (await catalogue.list()).map((listing) => refuseTooLarge(listing, offeredBytes));
    },
    lastHour: () => hour.samples,
    metrics: () => metrics.text(),
  });
  cluster.listen({
    peerJudged: (peerId, status) => {
      const message = `node ${cluster.state.nodes.get(peerId)?.name ?? peerId} (${peerId}) is gone`;
      if (status !== 'dead') return;
      router.nodeLost(peerId, { code: 'node_lost', message });
      calls.closeAllTo(peerId, { code: 'node_lost', message });
    },
  });
  let apiUrl: string | null = null;
  let app: FastifyInstance | null = null;
  if (options.api) {
    app = createApiServer(
      {
        generations: {
          generate: (request, signal, options) => requests.generate(request, signal, options),
          cancel: (commandId) => cancels.cancel(commandId),
        },
        commands: new PeopleCommands({ cluster, catalogue }),
        joinToken: () => formatToken(parts.clusterKey),
        observer: metrics,
        log,
        view,
        ...(options.failpoints ? { failpoints } : {}),
      },
      { host: options.apiHost, apiKeys: options.apiKey, allowedOrigins: options.allowOrigin },
    );
    apiUrl = await listen(app, options);
    closers.add(() => app?.close());
  }
  metrics.start();
  closers.add(() => metrics.close());
  logCluster(cluster, nodeId, log, metrics);
  watchHour(cluster, hour);
  hour.start();
  closers.add(() => hour.close());
  cluster.start();
  registers.start();
  closers.add(() => registers.close());
  linkSpeeds.start();
  closers.add(() => linkSpeeds.close());
  if (options.worker && options.benchmark) speed.start();
  closers.add(() => speed.close());
  if (options.worker) worker.start();
  closers.add(async () => {
    cluster.leave();
    await worker.stop();
  });
  await meetOthers(parts, options, log, closers);
  const stopping = new AbortController();
  const serving = serve(cluster, wishesFor(served, options), stopping.signal);
  // Whoever reads the address may ask for the models at once; but a cluster that cannot agree stops no start.
  await Promise.race([serving, sleep(FIRST_MASTER_MS, undefined, { signal: stopping.signal, ref: false })]);
  serving.catch((error: unknown) => log.error({ err: error }, 'the models of --serve cannot be served'));

  return {
    nodeId,
    apiUrl,
    peerAddress: node.addresses[0] ?? '',
    served: served.map(({ modelId }) => modelId),
    progress: () => modelProgress(cluster.state, worker, served),
    peers: () => [...links.peers.values()].map(({ name }) => name),
    stop: async () => {
      stopping.abort();
      cluster.nodeChanged({ ...node, isDraining: true });
      await Promise.all([app?.close(), server.drain(TIMES.drainMs)]);
      await closers.close();
    },
  };
}

/** Where a model of an instance is on this machine, and how it is computed. */
function findModel(
  catalogue: ModelCatalogue,
  served: readonly ResolvedModel[],
  { threads }: UpOptions,
): (modelId: ModelId) => Promise<LocalModel> {
  return async (modelId) => {
    // A model that was given by its path is in no folder of the catalogue.
    const model = served.find((entry) => entry.modelId === modelId) ?? (await catalogue.resolve(modelId));
    return { path: model.path, threads: threads ?? computeThreads(model.card.fileBytes) };
  };
}

/** Declares the models as soon as there is a master, however often that takes. Rejects with what no retry mends. */
async function serve(
  cluster: ClusterNode,
  wishes: readonly ServedWish[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await cluster.untilUpToDate(signal);
      return await declareServed(cluster, wishes);
    } catch (error) {
      if (signal.aborted) return;
      if (!ShoalError.fromFault(toFault(error)).retryable) throw error;
      await sleep(CREATE_RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

/** A key travels with every request, so that an open port does not mean an open model. */
function requireKeyBeyondLoopback({ api, apiHost, apiKey, insecure }: UpOptions): void {
  if (!api || isLoopback(apiHost) || apiKey.length > 0 || insecure) return;
  throw new ShoalError(
    'invalid_request',
    `--api-host ${apiHost} can be reached by others: add --api-key KEY, or --insecure if everybody may use it`,
    { param: 'api-host' },
  );
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
