/**
 * The main thread of a runner: it owns the channel to the node, passes requests on to the compute thread and its
 * events back, answers heartbeats, and sees to it that the process ends. It never computes.
 */
import type { Duplex } from 'node:stream';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
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
import { connectRanks } from './ranks/connectRanks.js';
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
  #settings: RunnerSettings | null = null;
  /** What came before there was a thread to take it. */
  #early: ToCompute[] = [];
  #compute: Compute | null = null;
  /** The links to the other ranks of a model that is shared. */
  #collective: Collective | null = null;
  readonly #ending = new AbortController();
  #abortFlag: Uint8Array | null = null;
  #hasFailed = false;
  #isEnding = false;
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
        if (this.#settings !== null) this.#fail(violation('a second `load`'));
        else void this.#begin(message.settings);
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

  async #begin(settings: RunnerSettings): Promise<void> {
    this.#settings = settings;
    // The first one at once: from then on silence means that it is stopped.
    this.#sendHeartbeat();
    setInterval(() => this.#sendHeartbeat(), TIMES.heartbeatMs);
    try {
      if (settings.part !== null) await this.#connect(settings.part);
      if (!this.#isEnding) this.#load(settings);
    } catch (error) {
      this.#fail(toFault(error));
    }
  }

  /** Meets the other ranks. The first fault of any of them ends this one too, and says whose it was. */
  async #connect(part: RunnerPart): Promise<void> {
    this.#channel.send({ kind: 'phase', phase: 'connecting', progress: null });
    if (this.#failpoints.heldPhase(part.rank) === 'connecting') await new Promise(() => undefined);
    this.#collective = await connectRanks(part, this.#ending.signal);
    void this.#collective.ended.then((fault) => {
      if (fault !== null) this.#fail(fault);
    });
  }

  #load(settings: RunnerSettings): void {
    if (this.#failpoints.startsWith('runner.fail_loading')) {
      this.#fail({ code: 'model_load_failed', message: 'a failpoint keeps the model from loading' });
      return;
    }
    const { port1, port2 } = new MessageChannel();
    const held = this.#failpoints.heldPhase(settings.part?.rank ?? 0);
    const data: ComputeThreadData = { settings, port: port2, status: this.#status.buffer, held };
    const worker = new Worker(new URL('./computeThread.js', import.meta.url), {
      workerData: data,
      transferList: [port2],
    });
    const compute = { worker, port: port1, hasExited: false };
    this.#compute = compute;
    for (const message of this.#early.splice(0)) this.#pass(compute, message);
    port1.on('message', (message: FromCompute) => this.#hear(message));
    worker.on('error', (error) => this.#fail(toFault(error)));
    worker.on('exit', () => {
      compute.hasExited = true;
      // Its last words may come later than this: nothing keeps the port and the thread in order.
      for (let last = receiveMessageOnPort(port1); last; last = receiveMessageOnPort(port1)) {
        this.#hear(last.message as FromCompute);
      }
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
    const isRequest = message.kind === 'generate' || message.kind === 'cancel';
    if (this.#settings === null) {
      this.#fail(violation(`\`${message.kind}\` before \`load\``));
    } else if (isRequest && (this.#settings.part?.rank ?? 0) > 0) {
      this.#fail(violation(`\`${message.kind}\` to a rank that follows another`));
    } else if (this.#compute === null) this.#early.push(message);
    else this.#pass(this.#compute, message);
  }

  #pass(compute: Compute, message: ToCompute): void {
    compute.port.postMessage(message);
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
    this.#collective?.fail(fault);
    this.#channel.sendLast({ kind: 'fatal', fault }, () => this.#end(1));
    // A node that does not read may never take the message.
    setTimeout(() => this.#end(1), TIMES.runnerExitMs / 2);
  }

  /** Ends the process once the compute thread has left the engine: leaving native code in mid-step may crash. */
  #end(exitCode: number): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    setTimeout(() => this.#die(), TIMES.runnerExitMs);
    this.#ending.abort();
    this.#status.requestShutdown();
    this.#abortStep();
    void this.#ended().then(() => process.exit(exitCode));
  }

  /** The other ranks are told goodbye, so that they need not take this one for lost. */
  async #ended(): Promise<void> {
    const compute = this.#compute;
    const hasLeft =
      compute === null || compute.hasExited
        ? undefined
        : new Promise((resolve) => compute.worker.once('exit', resolve));
    await Promise.all([hasLeft, this.#collective?.close()]);
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
