/**
 * One runner process, from spawn to exit. It never restarts; it reports its end exactly once, whatever ends it: an
 * exit, a signal, garbage or silence on its channel, a phase that takes too long, a spawn that fails.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Duplex } from 'node:stream';
import { boundedFault } from '../cluster/calls/fault.js';
import { isLegalMove, type RunnerStatus } from '../control/runnerLife.js';
import {
  judge,
  NEW_WATCH,
  type RunnerWatch,
  WATCH_LIMITS,
  type WatchInput,
  watch,
} from '../control/runnerWatch.js';
import type { RunnerFailure } from '../control/state.js';
import type { Fault } from '../shared/errors.js';
import type { Failpoint } from '../shared/failpoints.js';
import { FrameError } from '../shared/frames.js';
import type { GenerationRequest } from '../shared/generation.js';
import type { GenerationStream } from '../shared/generationStream.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import {
  type FromRunner,
  type LoadedModel,
  RUNNER_CHANNEL_FD,
  RUNNER_PROTOCOL_VERSION,
  type RunnerLoad,
  type RunnerSettings,
} from '../shared/runnerProtocol.js';
import { describeEnd, type ProcessEnd } from './deathReport.js';
import { LineTail } from './lineTail.js';
import { OpenRequests } from './openRequests.js';
import { RunnerChannel } from './runnerChannel.js';
import { runnerEnvironment } from './runnerEnvironment.js';

export interface RunnerProcessEvents {
  onStatus(status: RunnerStatus, progress: number | null, model: LoadedModel | null): void;
  onLoad(load: RunnerLoad): void;
  /** So many more tokens were generated. */
  onTokens(count: number): void;
  onOutputLine(line: string): void;
  /** Exactly once. The failure is null when the end was asked for. */
  onEnd(failure: RunnerFailure | null): void;
}

export interface RunnerLaunch {
  /** Script of the runner process. */
  readonly entry: string;
  /** Null = failpoints are not allowed; empty = allowed; else the one that the process starts with. */
  readonly failpoint: string | null;
  /** Variables beside those of every runner, such as the paths of a side channel. @default none */
  readonly environment?: Readonly<Record<string, string>>;
}

/** Statuses that do not read well in "failed while …". */
const PHASE_NAMES: Partial<Record<RunnerStatus, string>> = {
  spawned: 'starting',
  warming_up: 'warming up',
  ready: 'idle',
};

/** How long after the exit event the last output may still come in. */
const OUTPUT_GRACE_MS = 30;

export class RunnerProcess {
  readonly #settings: RunnerSettings;
  readonly #events: RunnerProcessEvents;
  readonly #child: ChildProcess;
  readonly #channel: RunnerChannel;
  readonly #stderr: LineTail;
  readonly #startedAt = performance.now();
  readonly #exited: Promise<void>;
  readonly #requests = new OpenRequests();
  #resolveExited!: () => void;
  #watch: RunnerWatch = NEW_WATCH;
  readonly #watchTimer: NodeJS.Timeout;
  #lastTickMs = performance.now();
  #shutdownRequested = false;
  #stopping: Promise<void> | null = null;
  /** Why the process was ended, or says that it must end, before its exit is seen. */
  #cause: Fault | null = null;
  #hasEnded = false;

  constructor(settings: RunnerSettings, launch: RunnerLaunch, events: RunnerProcessEvents) {
    this.#settings = settings;
    this.#events = events;
    this.#exited = new Promise((resolve) => {
      this.#resolveExited = resolve;
    });
    this.#child = spawn(process.execPath, ['--enable-source-maps', launch.entry], {
      env: { ...runnerEnvironment(launch.failpoint), ...launch.environment },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C in the terminal reaches the node, which then ends its runners in order.
      detached: process.platform !== 'win32',
      windowsHide: true,
    });
    const onLine = (line: string) => events.onOutputLine(line);
    this.#stderr = new LineTail(LIMITS.stderrTailLines, LIMITS.stderrLineCharacters, onLine);
    const stdout = new LineTail(0, LIMITS.stderrLineCharacters, onLine);
    this.#child.stderr?.on('data', (chunk: Buffer) => this.#stderr.push(chunk));
    this.#child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk));
    this.#channel = new RunnerChannel(this.#child.stdio[RUNNER_CHANNEL_FD] as Duplex, {
      onMessage: (message) => this.#receive(message),
      onBroken: (reason) => this.#kill({ code: 'runner_failed', message: reason }),
    });
    this.#child.once('error', (error) => {
      this.#cause ??= { code: 'runner_failed', message: `the runner could not be started: ${error.message}` };
      if (this.pid === null) this.#end({ exitCode: null, signal: null });
    });
    this.#child.once('exit', (exitCode, signal) => {
      const end = () => this.#end({ exitCode, signal });
      // A busy node may be late itself: what has come by then is read first.
      const grace = setTimeout(() => setImmediate(end), OUTPUT_GRACE_MS);
      this.#child.once('close', () => {
        clearTimeout(grace);
        end();
      });
    });
    this.#watchTimer = setInterval(() => this.#tick(), WATCH_LIMITS.tickMs);
  }

  get pid(): number | null {
    return this.#child.pid ?? null;
  }

  get status(): RunnerStatus {
    return this.#watch.status;
  }

  /** Sends a request to the ready runner, which produces the stream from here on. */
  generate(generation: GenerationRequest, stream: GenerationStream): void {
    const request = this.#requests.add(stream, (aborted) => {
      this.#channel.send({ kind: 'cancel', request: aborted });
      this.#restWhenDone();
    });
    this.#move('running', null, null);
    try {
      this.#channel.send({ kind: 'generate', request, generation });
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      const fault: Fault = {
        code: 'request_too_large',
        message: `The request is too large for its runner: ${error.message}`,
      };
      this.#requests.push(request, { kind: 'failed', fault });
      this.#restWhenDone();
    }
  }

  /** Causes a fault in the running process; tests only. */
  fail(failpoint: Failpoint): void {
    this.#channel.send({ kind: 'failpoint', failpoint });
  }

  /** It cannot go on for want of something outside of it: ends the process, which is its failure. */
  giveUp(cause: Fault): void {
    if (!this.#shutdownRequested) this.#kill(cause);
  }

  /**
   * Ends the process: asks, then SIGTERM, then SIGKILL, each with a bound; at last it gives up waiting. Resolves in
   * any case and never rejects. Calling it again joins the first call.
   */
  stop(): Promise<void> {
    this.#shutdownRequested = true;
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop(): Promise<void> {
    if (this.#hasEnded) return;
    this.#move('stopping', null, null);
    const open = this.#requests.failAll({ code: 'not_ready', message: 'the runner is being stopped' });
    for (const request of open) this.#channel.send({ kind: 'cancel', request });
    this.#channel.send({ kind: 'shutdown' });
    if (await this.#exitsWithin(TIMES.stopCancelMs)) return;
    this.#child.kill('SIGTERM');
    if (await this.#exitsWithin(TIMES.stopTermMs)) return;
    this.#child.kill('SIGKILL');
    if (await this.#exitsWithin(TIMES.stopKillMs)) return;
    this.#cause = { code: 'runner_failed', message: `process ${this.pid} did not end after SIGKILL` };
    this.#shutdownRequested = false;
    this.#end({ exitCode: null, signal: null });
  }

  async #exitsWithin(limitMs: number): Promise<boolean> {
    let timer: NodeJS.Timeout | undefined;
    const timeout = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => resolve(false), limitMs);
    });
    const exited = await Promise.race([this.#exited.then(() => true), timeout]);
    clearTimeout(timer);
    return exited;
  }

  #receive(message: FromRunner): void {
    if (this.#hasEnded) return;
    switch (message.kind) {
      case 'hello':
        if (message.version !== RUNNER_PROTOCOL_VERSION) {
          const versions = `it speaks version ${message.version}, this node speaks ${RUNNER_PROTOCOL_VERSION}`;
          this.#kill({ code: 'runner_failed', message: `the runner is of another release: ${versions}` });
          return;
        }
        this.#move('connecting', null, null);
        this.#channel.send({ kind: 'load', settings: this.#settings });
        return;
      case 'phase':
        if (this.#shutdownRequested) return;
        this.#move(message.phase, message.progress, message.model ?? null);
        return;
      case 'heartbeat': {
        const { pulse, received, load } = message;
        const facts = { residentBytes: load.residentBytes, received, sent: this.#channel.sent };
        this.#observe({ kind: 'pulse', pulse: { ...pulse, ...facts } });
        this.#events.onLoad(load);
        return;
      }
      case 'event':
        if (message.event.kind === 'delta') this.#events.onTokens(message.event.tokens.length);
        this.#requests.push(message.request, message.event);
        this.#restWhenDone();
        return;
      case 'fatal':
        // It stands in the cluster's log, and may quote a model file.
        this.#cause ??= boundedFault(message.fault);
    }
  }

  #restWhenDone(): void {
    if (this.#requests.size === 0 && this.status === 'running') this.#move('ready', null, null);
  }

  #move(status: RunnerStatus, progress: number | null, model: LoadedModel | null): void {
    if (!isLegalMove(this.status, status)) {
      this.#kill({ code: 'runner_failed', message: `the runner went from ${this.status} to ${status}` });
      return;
    }
    if (status !== this.status) this.#observe({ kind: 'status', status });
    else if (progress !== null) this.#observe({ kind: 'progress' });
    this.#events.onStatus(status, progress, model);
  }

  #observe(input: WatchInput): void {
    this.#watch = watch(this.#watch, input);
  }

  /** Looks whether the process is there and alive. An exit is seen by its event; this is the second pair of eyes. */
  #tick(): void {
    const now = performance.now();
    this.#observe({ kind: 'tick', elapsedMs: now - this.#lastTickMs });
    this.#lastTickMs = now;
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) this.#end({ exitCode, signal: signalCode });
    const verdict = judge(this.#watch);
    if (verdict !== null) this.#kill({ code: 'runner_failed', message: `the runner is frozen: ${verdict}` });
  }

  #kill(cause: Fault): void {
    // The first cause stays, but the signal is sent in any case: a runner may say that it is done for, and then hang.
    this.#cause ??= cause;
    this.#child.kill('SIGKILL');
  }

  #end(end: ProcessEnd): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    clearInterval(this.#watchTimer);
    this.#channel.close();
    const failure = this.#shutdownRequested ? null : this.#failure(end);
    this.#observe({ kind: 'status', status: failure === null ? 'stopped' : 'failed' });
    this.#requests.failAll(
      failure === null
        ? { code: 'not_ready', message: 'the runner was stopped' }
        : { code: 'runner_failed', message: failure.message, details: { phase: failure.phase } },
    );
    this.#resolveExited();
    this.#events.onEnd(failure);
  }

  #failure(end: ProcessEnd): RunnerFailure {
    const how = end.signal === null && end.exitCode === null ? null : describeEnd(end);
    const message = [this.#cause?.message, how].filter((part) => part != null).join('; ');
    return {
      code: this.#cause?.code ?? 'runner_failed',
      message: `the runner failed while ${PHASE_NAMES[this.status] ?? this.status}: ${message}`,
      // They tell which other rank is at fault, where one is.
      ...(this.#cause?.details === undefined ? {} : { details: this.#cause.details }),
      phase: this.status,
      ...(end.signal === null ? {} : { signal: end.signal }),
      ...(end.exitCode === null ? {} : { exitCode: end.exitCode }),
      stderrTail: this.#stderr.lines(),
      ranForMs: Math.round(performance.now() - this.#startedAt),
    };
  }
}
