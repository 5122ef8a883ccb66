/**
 * All ranks of a model as one engine: rank 0 in this thread, the others in threads of their own, with sums in memory
 * that they share.
 */
import { fileURLToPath } from 'node:url';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Engine, EngineOptions, StepInput, StepResult } from '../../../src/engine/contract.js';
import { openTensorSlice, sliceSumFloats } from '../../../src/engine/llama/slice/open.js';
import { ShoalError } from '../../../src/shared/errors.js';
import { type Answer, CONTROL, type Command, waitForChange } from './rankCommands.js';
import { type Perturbation, SharedSums, sumsMemory } from './sharedSums.js';

const RANK_THREAD = fileURLToPath(new URL('rankThread.js', import.meta.url));
const LIMIT_MS = 120_000;

/** Threads for ranks, to be used by one engine after the other. */
export class RankThreads {
  readonly #threads: RankThread[];

  /** @param count ranks of the largest world, without rank 0 */
  constructor(count: number) {
    this.#threads = Array.from({ length: count }, () => new RankThread());
  }

  open(worldSize: number, options: EngineOptions): SlicedEngine {
    return new SlicedEngine(this.#threads.slice(0, worldSize - 1), { ...options, worldSize });
  }

  async end(): Promise<void> {
    await Promise.all(this.#threads.map((thread) => thread.end()));
  }
}

export class SlicedEngine implements Engine {
  readonly #first: Engine;
  readonly #others: readonly RankThread[];
  readonly #sums: SharedSums;
  /** Of the other ranks. */
  readonly abortFlags: readonly Uint8Array[];
  readonly memoryBytesByRank: readonly number[];

  constructor(others: readonly RankThread[], options: EngineOptions & { readonly worldSize: number }) {
    const { worldSize } = options;
    const memory = sumsMemory(worldSize, sliceSumFloats(options));
    this.#sums = new SharedSums(memory, 0, worldSize);
    this.#others = others;
    // One after the other: while a model is loaded, the engine's log belongs to one thread.
    this.#first = openTensorSlice({ ...options, rank: 0, allReduce: this.#sums });
    const opened = others.map(
      (thread, index) =>
        thread.call({ kind: 'open', rank: index + 1, memory, options }) as {
          readonly flag: SharedArrayBuffer;
          readonly memoryBytes: number;
        },
    );
    this.abortFlags = opened.map(({ flag }) => new Uint8Array(flag));
    this.memoryBytesByRank = [this.#first.memoryBytes, ...opened.map(({ memoryBytes }) => memoryBytes)];
  }

  get shape() {
    return this.#first.shape;
  }
  get capacity() {
    return this.#first.capacity;
  }
  get backends() {
    return this.#first.backends;
  }
  get canTruncate() {
    return this.#first.canTruncate;
  }
  get abortFlag() {
    return this.#first.abortFlag;
  }
  get memoryBytes() {
    return this.memoryBytesByRank.reduce((sum, bytes) => sum + bytes, 0);
  }

  step(input: StepInput): StepResult {
    const { result, answers } = this.#all({ kind: 'step', input }, () => this.#first.step(input));
    for (const answer of answers) {
      const expected = result.kind === 'logits' ? 'added' : result.kind;
      if (answer !== expected) throw new Error(`rank 0 ended a step as ${result.kind}, another as ${answer}`);
    }
    return result;
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#all({ kind: 'copyPrefix', from, to, length }, () => this.#first.copyPrefix(from, to, length));
  }

  truncate(sequence: number, length: number): boolean {
    return this.#all({ kind: 'truncate', sequence, length }, () => this.#first.truncate(sequence, length))
      .result;
  }

  /** How long rank 0 was in sums, in all. */
  get sumsMs(): number {
    return this.#sums.ms;
  }

  /** Changes what a rank adds to one of the sums to come, counted from 0. */
  perturb(rank: number, perturbation: Perturbation | null): void {
    if (rank > 0) (this.#others[rank - 1] as RankThread).call({ kind: 'perturb', perturbation });
    else {
      this.#sums.perturbation =
        perturbation === null ? null : { ...perturbation, atSum: this.#sums.count + perturbation.atSum };
    }
  }

  close(): void {
    this.#all({ kind: 'close' }, () => this.#first.close());
  }

  /** What rank 0 returns or throws; all others must have come to the same end. */
  #all<Result>(command: Command, onFirst: () => Result) {
    for (const thread of this.#others) thread.ask(command);
    let result: Result | undefined;
    let failure: unknown = null;
    try {
      result = onFirst();
    } catch (error) {
      failure = error;
    }
    const answers = this.#others.map((thread) => thread.answer());
    if (failure !== null) {
      if (answers.some((answer) => !('code' in answer))) throw new Error(`only rank 0 failed: ${failure}`);
      throw failure;
    }
    return { result: result as Result, answers: answers.map(resultOf) };
  }
}

function resultOf(answer: Answer): unknown {
  if ('code' in answer) throw new ShoalError(answer.code, answer.message);
  return answer.result;
}

class RankThread {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #control = new Int32Array(new SharedArrayBuffer(8));
  #answered = 0;

  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.#port = port1;
    this.#worker = new Worker(RANK_THREAD, {
      workerData: { port: port2, control: this.#control },
      transferList: [port2],
    });
    this.#worker.unref();
    port1.unref();
  }

  ask(command: Command): void {
    this.#port.postMessage(command);
    Atomics.add(this.#control, CONTROL.asked, 1);
    Atomics.notify(this.#control, CONTROL.asked);
  }

  answer(): Answer {
    if (!waitForChange(this.#control, CONTROL.answered, this.#answered, LIMIT_MS))
      throw new Error('a rank did not answer');
    this.#answered += 1;
    return receiveMessageOnPort(this.#port)?.message as Answer;
  }

  call(command: Command): unknown {
    this.ask(command);
    return resultOf(this.answer());
  }

  async end(): Promise<void> {
    await this.#worker.terminate();
  }
}
