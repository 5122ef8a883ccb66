/**
 * Shared memory between the thread that computes and the thread that has the links. It has slots, each for one operation
 * at a time, and an arena for the tensors, so that these are never copied between the threads. Words are Int32; a slot's
 * state is written last, by whoever hands it over.
 */
import { type Fault, ShoalError } from '../../shared/errors.js';

export const STATE = { idle: 0, asked: 1, taken: 2, done: 3, failed: 4 } as const;

export const OPERATION = {
  send: 1,
  receive: 2,
  allReduce: 3,
  barrier: 4,
  broadcast: 5,
  nextBroadcast: 6,
} as const;

export type OperationCode = (typeof OPERATION)[keyof typeof OPERATION];

export const WORD = {
  state: 0,
  operation: 1,
  /** The other rank; after `nextBroadcast` the one that the frame is from. */
  peer: 2,
  /** As bits: a tag goes up to 2³² − 1. */
  tag: 3,
  /** Is the tag of `receive` one that the tensor must have? */
  isTagged: 4,
  /** Bytes, from the beginning of the arena. */
  offset: 5,
  length: 6,
  /** Milliseconds, or one of `DEADLINE`. */
  deadlineMs: 7,
  faultBytes: 8,
  /** Counts the operations, so that they are taken in the order in which they were asked for. */
  number: 9,
} as const;

export const DEADLINE = { usual: -1, none: -2 } as const;

const WORDS_PER_SLOT = 16;
const FAULT_BYTES = 4 * 1024;
const BYTES_PER_WORD = Int32Array.BYTES_PER_ELEMENT;
/** Before the slots: how many operations were asked for, and whether the bridge is closed. */
const HEAD = { asked: 0, closed: 1 } as const;
const HEAD_WORDS = 16;

/** To be handed to the other thread. */
export interface BridgeMemory {
  readonly control: SharedArrayBuffer;
  /** Tensors that are sent, received and added lie here. */
  readonly arena: SharedArrayBuffer;
}

/**
 * @param slots operations that may be on their way at once
 * @param arenaBytes all tensors together
 */
export function allocateBridge(slots: number, arenaBytes: number): BridgeMemory {
  const controlBytes = HEAD_WORDS * BYTES_PER_WORD + slots * (WORDS_PER_SLOT * BYTES_PER_WORD + FAULT_BYTES);
  return { control: new SharedArrayBuffer(controlBytes), arena: new SharedArrayBuffer(arenaBytes) };
}

/** One operation, seen from either thread. */
export class Slot {
  readonly words: Int32Array;
  readonly #fault: Uint8Array;

  constructor(words: Int32Array, fault: Uint8Array) {
    this.words = words;
    this.#fault = fault;
  }

  get state(): number {
    return Atomics.load(this.words, WORD.state);
  }

  get fault(): ShoalError {
    const text = Buffer.from(this.#fault.slice(0, this.words[WORD.faultBytes]!)).toString();
    return ShoalError.fromFault(JSON.parse(text) as Fault);
  }

  set fault(fault: Fault) {
    let bytes = Buffer.from(JSON.stringify(fault));
    if (bytes.length > FAULT_BYTES)
      bytes = Buffer.from(JSON.stringify({ code: fault.code, message: 'too long' }));
    this.#fault.set(bytes);
    this.words[WORD.faultBytes] = bytes.length;
  }
}

/** What both threads make of the control memory. */
export class Control {
  readonly head: Int32Array;
  readonly slots: readonly Slot[];

  constructor(memory: SharedArrayBuffer) {
    this.head = new Int32Array(memory, 0, HEAD_WORDS);
    const slotBytes = WORDS_PER_SLOT * BYTES_PER_WORD + FAULT_BYTES;
    const first = HEAD_WORDS * BYTES_PER_WORD;
    const count = Math.floor((memory.byteLength - first) / slotBytes);
    this.slots = Array.from({ length: count }, (_, index) => {
      const at = first + index * slotBytes;
      const faultAt = at + WORDS_PER_SLOT * BYTES_PER_WORD;
      return new Slot(
        new Int32Array(memory, at, WORDS_PER_SLOT),
        new Uint8Array(memory, faultAt, FAULT_BYTES),
      );
    });
  }

  get asked(): number {
    return Atomics.load(this.head, HEAD.asked);
  }

  /** Wakes the thread with the links. */
  ask(): void {
    Atomics.add(this.head, HEAD.asked, 1);
    Atomics.notify(this.head, HEAD.asked);
  }

  get isClosed(): boolean {
    return Atomics.load(this.head, HEAD.closed) === 1;
  }

  /** Nothing is taken any more. */
  close(): void {
    Atomics.store(this.head, HEAD.closed, 1);
    this.ask();
  }

  /** Resolves when more was asked for than `asked`. */
  async more(asked: number): Promise<void> {
    const { async, value } = (Atomics as unknown as WithWaitAsync).waitAsync(this.head, HEAD.asked, asked);
    if (async) await value;
  }
}

/** In Node.js since version 16; not yet in the library that the compiler is told of. */
interface WithWaitAsync {
  waitAsync(
    words: Int32Array,
    index: number,
    value: number,
  ): { readonly async: boolean; readonly value: Promise<string> | string };
}
