/** Carries out the worker's plan on this node: one supervisor for each runner that the state places here. */
import type { ControlPlane } from '../cluster/controlPlane.js';
import type { InstanceRecord, RunnerFailure, ShardRecord } from '../control/state.js';
import { planWorker } from '../control/workerPlan.js';
import type { Failpoint } from '../shared/failpoints.js';
import type { GenerationRequest } from '../shared/generation.js';
import { GenerationStream } from '../shared/generationStream.js';
import type { ModelId, NodeId, RunnerId } from '../shared/ids.js';
import { ENGINE } from '../shared/limits.js';
import type { RunnerSettings } from '../shared/runnerProtocol.js';
import type { Leftovers } from './leftovers.js';
import { type RunnerTelemetry, Supervisor } from './supervisor.js';

export interface LocalModel {
  readonly path: string;
  readonly threads: number;
}

export interface WorkerComponents {
  readonly controlPlane: ControlPlane;
  /** The file of a model, and with how many threads it computes. It was placed here, so it is known here. */
  readonly model: (modelId: ModelId) => LocalModel;
  readonly leftovers: Leftovers;
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
  readonly #stopping = new Set<Promise<void>>();
  #stopListening: (() => void) | null = null;

  constructor(components: WorkerComponents, options: WorkerOptions) {
    this.#components = components;
    this.#options = options;
  }

  /** Follows the state from now on. */
  start(): void {
    const { controlPlane } = this.#components;
    this.#stopListening = controlPlane.listen((event) => {
      if (event.kind === 'InstanceCreated' || event.kind === 'InstanceDeleted') this.#reconcile();
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
    const targets = [...this.#supervisors].filter(([id]) => runnerId === null || id === runnerId);
    for (const [, supervisor] of targets) supervisor.fail(failpoint);
    return targets.length;
  }

  telemetry(): Map<RunnerId, RunnerTelemetry> {
    return new Map([...this.#supervisors].map(([runnerId, supervisor]) => [runnerId, supervisor.telemetry]));
  }

  /** Ends all runners, side by side, each within the bounds of its stop ladder. */
  async stop(): Promise<void> {
    this.#stopListening?.();
    for (const runnerId of [...this.#supervisors.keys()]) this.#stopRunner(runnerId);
    await Promise.all(this.#stopping);
  }

  #reconcile(): void {
    const supervised = new Set(this.#supervisors.keys());
    for (const action of planWorker(this.#components.controlPlane.state, this.#options.nodeId, supervised)) {
      if (action.kind === 'StartRunner') this.#startRunner(action.instance, action.shard);
      else this.#stopRunner(action.runnerId);
    }
  }

  #startRunner(instance: InstanceRecord, { runnerId }: ShardRecord): void {
    const { controlPlane, leftovers, onOutputLine, onFailure } = this.#components;
    const supervisor = new Supervisor(
      {
        runnerEntry: this.#options.runnerEntry,
        allowFailpoints: this.#options.allowFailpoints,
        publish: (event) => controlPlane.publish(event),
        onOutputLine: (line) => onOutputLine(runnerId, line),
        onFailure: (failure) => onFailure(runnerId, failure),
        onStarted: (pid) => void leftovers.add(pid),
        onEnded: (pid) => leftovers.remove(pid),
        random: Math.random,
      },
      this.#settings(instance, runnerId),
    );
    this.#supervisors.set(runnerId, supervisor);
    supervisor.start();
  }

  #stopRunner(runnerId: RunnerId): void {
    const supervisor = this.#supervisors.get(runnerId);
    if (supervisor === undefined) return;
    this.#supervisors.delete(runnerId);
    const stopped = supervisor.stop();
    this.#stopping.add(stopped);
    void stopped.then(() => this.#stopping.delete(stopped));
  }

  #settings(instance: InstanceRecord, runnerId: RunnerId): RunnerSettings {
    const { path, threads } = this.#components.model(instance.modelId);
    return {
      runnerId,
      modelPath: path,
      contextTokens: instance.contextLength,
      sequences: instance.maxSequences,
      cacheCells: instance.cacheCells,
      prefillChunkTokens: ENGINE.prefillChunkTokens,
      threads,
      gpuLayers: this.#options.gpuLayers,
    };
  }
}
