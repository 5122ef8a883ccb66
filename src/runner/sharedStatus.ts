/**
 * Numbers that both threads of the runner see at once, in shared memory: messages would wait for a thread that is
 * computing. The compute thread writes the counter, the load and whose step is running; the main thread rings the
 * bell and asks for the end.
 */
import type { ComputePulse, RunnerLoad } from '../shared/runnerProtocol.js';

const WORDS = { bell: 0, shutdown: 1, soleRequest: 2, stepRows: 3 } as const;
const WORD_COUNT = 4;
const COUNTER_OFFSET = WORD_COUNT * Int32Array.BYTES_PER_ELEMENT;
const LOAD_OFFSET = COUNTER_OFFSET + BigInt64Array.BYTES_PER_ELEMENT;
const LOAD_FIELDS = [
  'runningSequences',
  'queuedRequests',
  'usedCells',
  'totalCells',
  'prefixCacheCells',
] as const;
const SLOWEST_ROW_OFFSET = LOAD_OFFSET + LOAD_FIELDS.length * Float64Array.BYTES_PER_ELEMENT;
const BYTES = SLOWEST_ROW_OFFSET + Float64Array.BYTES_PER_ELEMENT;
const NO_REQUEST = 0;
/** What the slowest row keeps of its time with each further step, so that one long pause does not count for ever. */
const FADING = 0.99;

type ComputeLoad = Omit<RunnerLoad, 'residentBytes'>;

export class SharedStatus {
  /** To be handed to the other thread. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #counter: BigInt64Array;
  readonly #load: Float64Array;
  readonly #slowestRowMs: Float64Array;
  #stepStartedMs = 0;

  constructor(buffer = new SharedArrayBuffer(BYTES)) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer, 0, WORD_COUNT);
    this.#counter = new BigInt64Array(buffer, COUNTER_OFFSET, 1);
    this.#load = new Float64Array(buffer, LOAD_OFFSET, LOAD_FIELDS.length);
    this.#slowestRowMs = new Float64Array(buffer, SLOWEST_ROW_OFFSET, 1);
  }

  /** Main thread: wakes the compute thread, after a message for it was posted. */
  ring(): void {
    Atomics.add(this.#words, WORDS.bell, 1);
    Atomics.notify(this.#words, WORDS.bell);
  }

  /** Compute thread: how often the bell has rung; to be read before looking for messages. */
  get rings(): number {
    return Atomics.load(this.#words, WORDS.bell);
  }

  /** Compute thread: sleeps until the bell has rung more often than `rings`, or the time is over. */
  sleep(rings: number, limitMs: number): void {
    Atomics.wait(this.#words, WORDS.bell, rings, limitMs);
  }

  /** Main thread: the compute thread shall end, also while it loads. */
  requestShutdown(): void {
    Atomics.store(this.#words, WORDS.shutdown, 1);
    this.ring();
  }

  get isShutdownRequested(): boolean {
    return Atomics.load(this.#words, WORDS.shutdown) === 1;
  }

  /**
   * Compute thread: a step begins, or with 0 rows has ended.
   * @param soleRequest the only request with rows in it, if it is only one
   */
  announceStep(soleRequest: number | null, rows: number): void {
    Atomics.store(this.#words, WORDS.soleRequest, soleRequest ?? NO_REQUEST);
    const now = performance.now();
    const endedRows = Atomics.exchange(this.#words, WORDS.stepRows, rows);
    if (endedRows > 0) {
      const rowMs = (now - this.#stepStartedMs) / endedRows;
      this.#slowestRowMs[0] = Math.max(rowMs, this.#slowestRowMs[0]! * FADING);
    }
    this.#stepStartedMs = now;
  }

  /** Does the running step compute for this request alone, so that it may be aborted? */
  isSoleRequest(request: number): boolean {
    return request !== NO_REQUEST && Atomics.load(this.#words, WORDS.soleRequest) === request;
  }

  /** Compute thread: a sign of life. */
  beat(): void {
    Atomics.add(this.#counter, 0, 1n);
  }

  get pulse(): Omit<ComputePulse, 'starvedMs'> {
    return {
      counter: Number(Atomics.load(this.#counter, 0)),
      stepRows: Atomics.load(this.#words, WORDS.stepRows),
      slowestRowMs: this.#slowestRowMs[0]!,
    };
  }

  get load(): ComputeLoad {
    const entries = LOAD_FIELDS.map((field, index) => [field, this.#load[index]!]);
    return Object.fromEntries(entries) as ComputeLoad;
  }

  set load(load: ComputeLoad) {
    for (const [index, field] of LOAD_FIELDS.entries()) this.#load[index] = load[field];
  }
}
