/**
 * Keeps one runner of an instance alive: spawns it, reports each change, starts it again after a failure as the
 * restart policy says, and gives requests to it. A request that comes before the runner is ready waits for it.
 */
import type { RunnerReport } from '../control/cluster/ports.js';
import { decideRestart, type RestartHistory } from '../control/restartPolicy.js';
import { isServing, type RunnerStatus } from '../control/runnerLife.js';
import type { RunnerFailure } from '../control/state.js';
import type { Fault } from '../shared/errors.js';
import { type Failpoint, formatFailpoint, START_FAILPOINTS } from '../shared/failpoints.js';
import type { GenerationRequest } from '../shared/generation.js';
import { GenerationStream } from '../shared/generationStream.js';
import type { LoadedModel, RunnerLoad, RunnerSettings } from '../shared/runnerProtocol.js';
import { RunnerProcess } from './runnerProcess.js';
import type { SideChannelRelay } from './sideChannel/relay.js';

/** The newest measured facts of a runner, for people and metrics. */
export interface RunnerTelemetry {
  readonly progress: number | null;
  readonly model: LoadedModel | null;
  readonly load: RunnerLoad | null;
  /** `performance.now()` of the last heartbeat; null before the first one of a process. */
  readonly heartbeatAtMs: number | null;
}

const NOTHING_MEASURED: RunnerTelemetry = { progress: null, model: null, load: null, heartbeatAtMs: null };

export interface SupervisorComponents {
  /** Script of the runner process. */
  readonly runnerEntry: string;
  /** Tests only. */
  readonly allowFailpoints: boolean;
  readonly publish: (report: RunnerReport) => void;
  readonly onOutputLine: (line: string) => void;
  readonly onFailure: (failure: RunnerFailure) => void;
  /** So many more tokens were generated. */
  readonly onTokens: (count: number) => void;
  /** A process was started, or has ended. */
  readonly onStarted: (pid: number) => void;
  readonly onEnded: (pid: number) => void;
  /** Uniform in [0, 1), for the jitter of restarts. */
  readonly random: () => number;
  /** Else a failed runner stays failed: somebody else decides about its instance. */
  readonly restartsItself: boolean;
  /** Of a runner with a part of a model, which is started once: closed when it has ended. @default none */
  readonly sideChannel?: Pick<SideChannelRelay, 'environment' | 'close'>;
  /** What is known of the runner from attempts before. @default nothing */
  readonly past?: { readonly restarts: number; readonly error: RunnerFailure | null };
}

export class Supervisor {
  readonly #components: SupervisorComponents;
  readonly #settings: RunnerSettings;
  readonly #waiting = new Map<GenerationStream, GenerationRequest>();
  #process: RunnerProcess | null = null;
  #restartTimer: NodeJS.Timeout | undefined;
  #history: RestartHistory = { restarts: 0 };
  #readySince: number | null = null;
  #isStopping = false;
  /** What the next process shall fail with. */
  #startFailpoint = '';
  /** The status last published. */
  #status: RunnerStatus = 'stopped';
  /** Kept while the runner comes back, so that people see why it was away. */
  #lastFailure: RunnerFailure | null = null;
  #telemetry = NOTHING_MEASURED;

  constructor(components: SupervisorComponents, settings: RunnerSettings) {
    this.#components = components;
    this.#history = { restarts: components.past?.restarts ?? 0 };
    this.#lastFailure = components.past?.error ?? null;
    this.#settings = settings;
  }

  get telemetry(): RunnerTelemetry {
    return this.#telemetry;
  }

  start(): void {
    if (this.#isStopping || this.#process !== null) return;
    this.#telemetry = NOTHING_MEASURED;
    this.#readySince = null;
    const { runnerEntry, allowFailpoints, sideChannel } = this.#components;
    const failpoint = allowFailpoints ? this.#startFailpoint : null;
    this.#startFailpoint = '';
    this.#process = new RunnerProcess(
      this.#settings,
      { entry: runnerEntry, failpoint, ...(sideChannel && { environment: sideChannel.environment }) },
      {
        onStatus: (status, progress, model) => this.#statusChanged(status, progress, model),
        onLoad: (load) => {
          this.#telemetry = { ...this.#telemetry, load, heartbeatAtMs: performance.now() };
        },
        onTokens: (count) => this.#components.onTokens(count),
        onOutputLine: (line) => this.#components.onOutputLine(line),
        onEnd: (failure) => this.#ended(failure),
      },
    );
    if (this.#process.pid !== null) this.#components.onStarted(this.#process.pid);
    this.#publish('spawned', null);
  }

  /** The stream always ends: with the answer, when its consumer aborts it, or with the runner's failure. */
  generate(request: GenerationRequest): GenerationStream {
    const stream = new GenerationStream();
    if (this.#isStopping) {
      stream.fail({ code: 'not_ready', message: 'the runner is being stopped' });
    } else if (this.#process === null) {
      stream.fail({ code: 'runner_failed', message: 'the runner has failed and is not back yet' });
    } else if (isServing(this.#process.status)) {
      this.#process.generate(request, stream);
    } else {
      this.#waiting.set(stream, request);
      stream.onAborted(() => this.#waiting.delete(stream));
    }
    return stream;
  }

  /** Causes a fault, now or at the next start. */
  fail(failpoint: Failpoint): void {
    if (START_FAILPOINTS.has(failpoint.name)) this.#startFailpoint = formatFailpoint(failpoint);
    else this.#process?.fail(failpoint);
  }

  /** Its side channel has failed: it will never meet the other ranks. */
  giveUp(cause: Fault): void {
    this.#process?.giveUp(cause);
  }

  /** Ends the runner for good, within the bounds of its stop ladder. Never rejects. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    clearTimeout(this.#restartTimer);
    this.#failWaiting({ code: 'not_ready', message: 'the runner is being stopped' });
    await this.#process?.stop();
    this.#components.sideChannel?.close();
  }

  #statusChanged(status: RunnerStatus, progress: number | null, model: LoadedModel | null): void {
    this.#telemetry = { ...this.#telemetry, progress, model: model ?? this.#telemetry.model };
    // Whether it is busy at this moment is telemetry, not a fact to log.
    const isNews = status !== this.#status && !(isServing(status) && isServing(this.#status));
    if (isNews) this.#publish(status, null);
    if (status !== 'ready' || this.#readySince !== null) return;
    this.#readySince = performance.now();
    for (const [stream, request] of this.#waiting) {
      this.#waiting.delete(stream);
      this.#process?.generate(request, stream);
    }
  }

  #ended(failure: RunnerFailure | null): void {
    const ranReadyMs = this.#readySince === null ? 0 : performance.now() - this.#readySince;
    if (this.#process?.pid != null) this.#components.onEnded(this.#process.pid);
    this.#process = null;
    this.#components.sideChannel?.close();
    this.#telemetry = { ...this.#telemetry, load: null, heartbeatAtMs: null };
    if (failure === null || this.#isStopping) {
      this.#publish('stopped', null);
      return;
    }
    this.#lastFailure = failure;
    this.#components.onFailure(failure);
    const restartAt = this.#components.restartsItself ? this.#planRestart(ranReadyMs) : null;
    // Before the state has it and the runner is asked to stop: who waits shall hear the cause.
    this.#failWaiting({ code: 'runner_failed', message: failure.message });
    this.#publish('failed', restartAt);
  }

  /** When it is started again, in ms since the epoch; null when it is not. */
  #planRestart(ranReadyMs: number): number | null {
    const decision = decideRestart(this.#history, ranReadyMs, this.#components.random());
    this.#history = decision.history;
    if (decision.kind === 'give_up') return null;
    this.#restartTimer = setTimeout(() => this.start(), decision.delayMs);
    return Date.now() + decision.delayMs;
  }

  #failWaiting(fault: Fault): void {
    const streams = [...this.#waiting.keys()];
    this.#waiting.clear();
    for (const stream of streams) stream.fail(fault);
  }

  #publish(status: RunnerStatus, restartAt: number | null): void {
    this.#status = status;
    this.#components.publish({
      runnerId: this.#settings.runnerId,
      status,
      pid: this.#process?.pid ?? null,
      restarts: this.#history.restarts,
      restartAt,
      error: this.#lastFailure,
    });
  }
}
