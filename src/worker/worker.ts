/** Carries out the worker's plan on this node: one supervisor for each runner that the state places here. */
import type { ClusterNode } from '../cluster/clusterNode.js';
import type { RunnerReport } from '../control/cluster/ports.js';
import { restartsAsWhole } from '../control/instances.js';
import type { ClusterState, InstanceRecord, RunnerFailure, ShardRecord } from '../control/state.js';
import { changesPlan, planWorker } from '../control/workerPlan.js';
import { type Fault, ShoalError, toFault } from '../shared/errors.js';
import { type Failpoint, START_FAILPOINTS } from '../shared/failpoints.js';
import type { GenerationRequest } from '../shared/generation.js';
import { GenerationStream } from '../shared/generationStream.js';
import type { InstanceId, ModelId, NodeId, RunnerId } from '../shared/ids.js';
import { ENGINE, TIMES } from '../shared/limits.js';
import type { RunnerSettings } from '../shared/runnerProtocol.js';
import type { Leftovers } from './leftovers.js';
import { partOf, type RankMeetings } from './rankMeetings.js';
import type { SideChannelRelay } from './sideChannel/relay.js';
import { type RunnerTelemetry, Supervisor, type SupervisorComponents } from './supervisor.js';

export interface LocalModel {
  readonly path: string;
  readonly threads: number;
}

/** What a worker sees of the cluster, and says to it. */
type WorkerCluster = Pick<ClusterNode, 'state' | 'isUpToDate' | 'listen' | 'runnerChanged' | 'runnerGone'>;

export interface WorkerComponents {
  readonly cluster: WorkerCluster;
  /** The file of a model on this machine, and how it is computed. Rejects with a coded error when it is not here. */
  readonly model: (modelId: ModelId) => Promise<LocalModel>;
  readonly leftovers: Leftovers;
  /** What the ranks of a model over several runners need to meet. */
  readonly ranks: RankMeetings;
  /** A line that a runner wrote to its output. */
  readonly onOutputLine: (runnerId: RunnerId, line: string) => void;
  readonly onFailure: (runnerId: RunnerId, failure: RunnerFailure) => void;
}

export interface WorkerOptions {
  readonly nodeId: NodeId;
  readonly runnerEntry: string;
  readonly gpuLayers: number;
  /** Let failpoints act; tests only. */
  readonly allowFailpoints: boolean;
}

export class Worker {
  readonly #components: WorkerComponents;
  readonly #options: WorkerOptions;
  readonly #supervisors = new Map<RunnerId, Supervisor>();
  #generatedTokens = 0;
  /** Runners whose model is being looked up, or was not found. */
  readonly #finding = new Set<RunnerId>();
  readonly #stopping = new Set<Promise<void>>();
  /** Instances of the runners that are on their way out. */
  readonly #leaving = new Map<RunnerId, InstanceId>();
  /** Of runners until they have ended. */
  readonly #memoryBytes = new Map<RunnerId, number>();
  readonly #instanceOf = new Map<RunnerId, InstanceId>();
  readonly #startFailpoints = new Map<InstanceId, Failpoint>();
  /** Of all runners that start from now on. */
  #hold: Failpoint | null = null;
  #stopListening: (() => void) | null = null;
  #isEnded = false;

  constructor(components: WorkerComponents, options: WorkerOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Follows the state from now on. */
  start(): void {
    this.#stopListening = this.#components.cluster.listen({
      applied: ({ event }) => {
        if (changesPlan(event)) this.#reconcile();
      },
      replaced: () => this.#reconcile(),
      roleChanged: () => this.#reconcile(),
    });
    this.#reconcile();
  }

  generate(runnerId: RunnerId, request: GenerationRequest): GenerationStream {
    const supervisor = this.#supervisors.get(runnerId);
    if (supervisor !== undefined) return supervisor.generate(request);
    const stream = new GenerationStream();
    stream.fail({ code: 'runner_failed', message: `runner ${runnerId} is not on this node` });
    return stream;
  }

  /** Causes a fault in one runner, or in all. Returns in how many. */
  fail(failpoint: Failpoint, runnerId: RunnerId | null): number {
    if (failpoint.name === 'runner.hold') {
      this.#hold = failpoint.arg === null ? null : failpoint;
      return 1;
    }
    if (START_FAILPOINTS.has(failpoint.name)) return this.#failNextStart(failpoint, runnerId);
    const targets = [...this.#supervisors].filter(([id]) => runnerId === null || id === runnerId);
    for (const [, supervisor] of targets) supervisor.fail(failpoint);
    return targets.length;
  }

  /** Also of a runner that has failed and waits for the next attempt, which will be another runner. */
  #failNextStart(failpoint: Failpoint, runnerId: RunnerId | null): number {
    const { nodeId } = this.#options;
    let count = 0;
    for (const instance of this.#components.cluster.state.instances.values()) {
      const { instanceId } = instance;
      for (const shard of instance.shards) {
        if (shard.nodeId !== nodeId || (runnerId !== null && shard.runnerId !== runnerId)) continue;
        const supervisor = this.#supervisors.get(shard.runnerId);
        // One failure each: a supervisor that restarts its runner by itself is told, else the one to come.
        if (!restartsAsWhole(instance) && supervisor !== undefined) supervisor.fail(failpoint);
        else this.#startFailpoints.set(instanceId, failpoint);
        count += 1;
      }
    }
    return count;
  }

  /** By all runners of this node, since it was started. */
  get generatedTokens(): number {
    return this.#generatedTokens;
  }

  telemetry(): Map<RunnerId, RunnerTelemetry> {
    return new Map([...this.#supervisors].map(([runnerId, supervisor]) => [runnerId, supervisor.telemetry]));
  }

  /** Ends all runners, side by side, each within the bounds of its stop ladder. */
  async stop(): Promise<void> {
    this.#isEnded = true;
    this.#stopListening?.();
    for (const runnerId of [...this.#supervisors.keys()]) this.#stopRunner(runnerId);
    await Promise.all(this.#stopping);
  }

  /** A state that is not up to date may lack what was placed here since: it is no reason to stop anything. */
  #reconcile(): void {
    const { state, isUpToDate } = this.#components.cluster;
    if (!isUpToDate || this.#isEnded) return;
    const supervised = new Set([...this.#supervisors.keys(), ...this.#finding]);
    const leaving = new Set(this.#leaving.values());
    const has = { supervised, leaving, memoryBytes: this.#memoryBytes };
    for (const action of planWorker(state, this.#options.nodeId, has)) {
      if (action.kind === 'StartRunner') void this.#findModel(action.instance, action.shard);
      else this.#stopRunner(action.runnerId);
    }
  }

  async #findModel(instance: InstanceRecord, shard: ShardRecord): Promise<void> {
    const { cluster, ranks } = this.#components;
    const { runnerId } = shard;
    this.#finding.add(runnerId);
    this.#memoryBytes.set(runnerId, shard.memoryBytes);
    try {
      const found = await this.#lookUp(instance.modelId);
      const sideChannel =
        shard.worldSize === 1
          ? null
          : await ranks.open(instance, shard, (fault) => this.#supervisors.get(runnerId)?.giveUp(fault));
      // The plan may have changed meanwhile, or the worker have ended.
      if (this.#finding.has(runnerId) && !this.#isEnded)
        this.#startRunner(instance, shard, found, sideChannel);
      else sideChannel?.close();
      this.#finding.delete(runnerId);
    } catch (error) {
      // Of one that is not wanted any more nobody would say that it is gone again.
      if (this.#finding.has(runnerId)) cluster.runnerChanged(notFound(runnerId, toFault(error)));
    }
  }

  /** A disk that does not answer must not keep an instance starting for good, and its requests waiting. */
  async #lookUp(modelId: ModelId): Promise<LocalModel> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      const message = `the file of ${modelId} was not found within ${TIMES.modelLookUpMs} ms; does the disk answer?`;
      timer = setTimeout(() => reject(new ShoalError('model_load_failed', message)), TIMES.modelLookUpMs);
    });
    return await Promise.race([this.#components.model(modelId), late]).finally(() => clearTimeout(timer));
  }

  #startRunner(
    instance: InstanceRecord,
    shard: ShardRecord,
    model: LocalModel,
    sideChannel: SideChannelRelay | null,
  ): void {
    const { cluster, leftovers, onOutputLine, onFailure } = this.#components;
    const { runnerId } = shard;
    const supervisor = new Supervisor(
      {
        runnerEntry: this.#options.runnerEntry,
        allowFailpoints: this.#options.allowFailpoints,
        publish: (report) => cluster.runnerChanged(report),
        onOutputLine: (line) => onOutputLine(runnerId, line),
        onFailure: (failure) => onFailure(runnerId, failure),
        onTokens: (count) => {
          this.#generatedTokens += count;
        },
        onStarted: (pid) => void leftovers.add(pid),
        onEnded: (pid) => leftovers.remove(pid),
        random: Math.random,
        // The others are started anew by the master, all runners of an instance together.
        restartsItself: !restartsAsWhole(instance),
        ...(sideChannel === null ? {} : { sideChannel }),
        ...pastOf(cluster.state, runnerId),
      },
      this.#settings(instance, shard, model),
    );
    const failpoint = this.#startFailpoints.get(instance.instanceId) ?? this.#hold;
    if (failpoint !== null) supervisor.fail(failpoint);
    this.#startFailpoints.delete(instance.instanceId);
    this.#supervisors.set(runnerId, supervisor);
    this.#instanceOf.set(runnerId, instance.instanceId);
    supervisor.start();
  }

  #stopRunner(runnerId: RunnerId): void {
    this.#finding.delete(runnerId);
    const supervisor = this.#supervisors.get(runnerId);
    this.#supervisors.delete(runnerId);
    const instanceId = this.#instanceOf.get(runnerId);
    if (instanceId !== undefined) this.#leaving.set(runnerId, instanceId);
    this.#instanceOf.delete(runnerId);
    const stopped = (supervisor?.stop() ?? Promise.resolve()).then(() => {
      this.#components.cluster.runnerGone(runnerId);
      this.#leaving.delete(runnerId);
      this.#memoryBytes.delete(runnerId);
      this.#reconcile();
    });
    this.#stopping.add(stopped);
    void stopped.then(() => this.#stopping.delete(stopped));
  }

  #settings(instance: InstanceRecord, shard: ShardRecord, { path, threads }: LocalModel): RunnerSettings {
    const { cluster, ranks } = this.#components;
    return {
      runnerId: shard.runnerId,
      modelPath: path,
      contextTokens: instance.contextLength,
      sequences: instance.maxSequences,
      cacheCells: instance.cacheCells,
      prefillChunkTokens: ENGINE.prefillChunkTokens,
      threads,
      gpuLayers: this.#options.gpuLayers,
      part: partOf(cluster.state, instance, shard, ranks),
    };
  }
}

/** How often it was started before, and why it ended last: people shall still see that. */
function pastOf(state: ClusterState, runnerId: RunnerId): Pick<SupervisorComponents, 'past'> {
  const runner = state.runners.get(runnerId);
  return runner === undefined ? {} : { past: { restarts: runner.restarts, error: runner.error } };
}

/** A runner that cannot even be started: it stays failed until its instance goes or the node starts anew. */
function notFound(runnerId: RunnerId, fault: Fault): RunnerReport {
  return {
    runnerId,
    status: 'failed',
    pid: null,
    restarts: 0,
    restartAt: null,
    error: { ...fault, phase: 'spawned', stderrTail: [], ranForMs: 0 },
  };
}
