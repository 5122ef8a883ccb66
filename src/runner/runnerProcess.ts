/**
 * The main thread of a runner: it owns the channel to the node, passes requests on to the compute thread and its
 * events back, answers heartbeats, and sees to it that the process ends. It never computes.
 */
import type { Duplex } from 'node:stream';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { CollectiveHost } from '../collective/bridge/collectiveHost.js';
import type { Collective } from '../collective/contract.js';
import { type Fault, toFault } from '../shared/errors.js';
import { TIMES } from '../shared/limits.js';
import {
  type FromRunner,
  RUNNER_PROTOCOL_VERSION,
  type RunnerPart,
  type RunnerSettings,
  type ToRunner,
} from '../shared/runnerProtocol.js';
import { Failpoints } from './failpoints.js';
import { NodeChannel } from './nodeChannel.js';
import { meetRanks } from './ranks/meet.js';
import { SharedStatus } from './sharedStatus.js';
import { Starvation } from './starvation.js';
import { type ComputeThreadData, type FromCompute, monotonicMs, type ToCompute } from './threadProtocol.js';

interface Compute {
  readonly worker: Worker;
  readonly port: MessagePort;
  hasExited: boolean;
}

export class RunnerProcess {
  readonly #channel: NodeChannel;
  readonly #status = new SharedStatus();
  readonly #starvation = new Starvation();
  #compute: Compute | null = null;
  #abortFlag: Uint8Array | null = null;
  /** To the other ranks of the model. */
  #collective: Collective | null = null;
  readonly #meeting = new AbortController();
  #hasFailed = false;
  #isEnding = false;
  /** Set once there is something to load. */
  #heartbeat: NodeJS.Timeout | null = null;
  /** A failpoint: no message is taken any more. */
  #isDeaf = false;
  readonly #failpoints = new Failpoints({
    ignoreMessages: () => {
      this.#isDeaf = true;
    },
    stopReading: () => this.#channel.stopReading(),
    standStill: () => this.#post({ kind: 'stand_still' }),
    slowDown: (ms) => this.#post({ kind: 'slow_down', ms }),
  });

  constructor(stream: Duplex) {
    if (this.#failpoints.startsWith('runner.die_before_pipe_open')) process.exit(1);
    this.#channel = new NodeChannel(stream, {
      onMessage: (message) => this.#receive(message),
      // Nobody is left to report to, and the engine may be deep in a step: no orphan may outlive its node.
      onClosed: () => this.#die(),
      onBroken: (reason) => this.#fail({ code: 'runner_failed', message: reason }),
    });
    process.on('uncaughtException', (error) => this.#fail(toFault(error)));
    this.#channel.send({ kind: 'hello', version: RUNNER_PROTOCOL_VERSION, pid: process.pid });
  }

  /** Takes a message; false when it is not taken. */
  #receive(message: ToRunner): boolean {
    if (this.#isDeaf) return false;
    if (!this.#isEnding && !this.#hasFailed) this.#obey(message);
    return true;
  }

  #obey(message: ToRunner): void {
    switch (message.kind) {
      case 'load':
        if (this.#heartbeat !== null) this.#fail(violation('a second `load`'));
        else this.#begin(message.settings);
        return;
      case 'generate': {
        const { request, generation } = message;
        this.#failpoints.arm(request, generation.failpoint);
        if (this.#isDeaf) return;
        this.#post({ kind: 'generate', request, generation, receivedAtMs: monotonicMs() });
        return;
      }
      case 'cancel':
        this.#post({ kind: 'cancel', request: message.request });
        // Whatever is aborted by mistake, because the step has ended meanwhile, is computed again.
        if (this.#status.isSoleRequest(message.request)) this.#abortStep();
        return;
      case 'failpoint':
        this.#failpoints.trigger(message.failpoint);
        return;
      case 'shutdown':
        this.#end(0);
    }
  }

  #begin(settings: RunnerSettings): void {
    this.#heartbeat = setInterval(() => this.#sendHeartbeat(), TIMES.heartbeatMs);
    if (settings.part === null) this.#load(settings);
    else void this.#meet(settings, settings.part);
  }

  /** Links this rank with the others, and loads its part then. */
  async #meet(settings: RunnerSettings, part: RunnerPart): Promise<void> {
    try {
      this.#collective = await meetRanks(part, this.#meeting.signal);
    } catch (error) {
      this.#fail(toFault(error));
      return;
    }
    if (this.#isEnding || this.#hasFailed) return;
    void this.#collective.ended.then((fault) => {
      if (fault !== null) this.#fail(fault);
    });
    this.#load(settings);
  }

  #load(settings: RunnerSettings): void {
    if (this.#failpoints.startsWith('runner.fail_loading')) {
      this.#fail({ code: 'model_load_failed', message: 'a failpoint keeps the model from loading' });
      return;
    }
    const { port1, port2 } = new MessageChannel();
    const data: ComputeThreadData = { settings, port: port2, status: this.#status.buffer };
    const worker = new Worker(new URL('./computeThread.js', import.meta.url), {
      workerData: data,
      transferList: [port2],
    });
    const compute = { worker, port: port1, hasExited: false };
    this.#compute = compute;
    port1.on('message', (message: FromCompute) => this.#hear(message));
    worker.on('error', (error) => this.#fail(toFault(error)));
    worker.on('exit', () => {
      compute.hasExited = true;
      this.#fail({ code: 'runner_failed', message: 'the compute thread has ended' });
    });
    this.#channel.send({ kind: 'phase', phase: 'loading', progress: 0 });
  }

  #hear(message: FromCompute): void {
    switch (message.kind) {
      case 'bridge':
        new CollectiveHost(this.#collective!, message.memory, { onEnded: () => this.#status.ring() });
        return;
      case 'loading':
        this.#channel.send({ kind: 'phase', phase: 'loading', progress: message.progress });
        return;
      case 'warming_up':
        this.#abortFlag = message.abortFlag === null ? null : new Uint8Array(message.abortFlag);
        this.#channel.send({ kind: 'phase', phase: 'warming_up', progress: null });
        return;
      case 'ready':
        this.#channel.send({ kind: 'phase', phase: 'ready', progress: null, model: message.model });
        return;
      case 'events':
        for (const { request, event } of message.events) {
          if (event.kind === 'delta') this.#failpoints.tokenCame(request);
        }
        this.#channel.send(
          ...message.events.map(({ request, event }): FromRunner => ({ kind: 'event', request, event })),
        );
        return;
      case 'fatal':
        this.#fail(message.fault);
    }
  }

  #post(message: ToCompute): void {
    if (this.#compute === null) {
      this.#fail(violation(`\`${message.kind}\` before \`load\``));
      return;
    }
    this.#compute.port.postMessage(message);
    this.#status.ring();
  }

  #sendHeartbeat(): void {
    const load = { ...this.#status.load, residentBytes: process.memoryUsage.rss() };
    this.#channel.send({
      kind: 'heartbeat',
      pulse: { ...this.#status.pulse, starvedMs: this.#starvation.readMs() },
      received: this.#channel.received,
      load,
    });
  }

  /** Tells the node why, and ends with exit code 1. */
  #fail(fault: Fault): void {
    if (this.#isEnding || this.#hasFailed) return;
    this.#hasFailed = true;
    process.stderr.write(`${fault.code}: ${fault.message}\n`);
    this.#channel.sendLast({ kind: 'fatal', fault }, () => this.#end(1));
    // A node that does not read may never take the message.
    setTimeout(() => this.#end(1), TIMES.runnerExitMs / 2);
  }

  /** Ends the process once the compute thread has left the engine: leaving native code in mid-step may crash. */
  #end(exitCode: number): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#meeting.abort();
    if (this.#compute === null || this.#compute.hasExited) process.exit(exitCode);
    this.#compute.worker.once('exit', () => process.exit(exitCode));
    this.#status.requestShutdown();
    this.#abortStep();
    setTimeout(() => this.#die(), TIMES.runnerExitMs);
  }

  #abortStep(): void {
    if (this.#abortFlag !== null) Atomics.store(this.#abortFlag, 0, 1);
  }

  #die(): never {
    process.kill(process.pid, 'SIGKILL');
    // The signal may reach this thread a moment later.
    process.exit(1);
  }
}

function violation(what: string): Fault {
  return { code: 'runner_failed', message: `the node broke the protocol: ${what}` };
}
