/**
 * A collective for a thread that computes and never returns to its event loop. An operation is begun, goes on while the
 * thread computes, and is waited for by blocking. All tensors lie in the arena that both threads share.
 */
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';
import {
  type BridgeMemory,
  Control,
  DEADLINE,
  OPERATION,
  type OperationCode,
  type Slot,
  STATE,
  WORD,
} from './layout.js';

interface Asked {
  readonly peer?: number;
  readonly tag?: number | undefined;
  /** Within the arena. */
  readonly bytes?: Uint8Array;
  /** As in `OperationOptions`. */
  readonly deadlineMs?: number | null | undefined;
}

export class BlockingCollective {
  readonly #control: Control;
  readonly #arena: SharedArrayBuffer;
  #usedBytes = 0;
  #begun = 0;

  constructor({ control, arena }: BridgeMemory) {
    this.#control = new Control(control);
    this.#arena = arena;
  }

  /** Room for a tensor, for as long as the bridge lives. @throws {RangeError} when the arena is full */
  allocate(bytes: number): Uint8Array {
    const room = new Uint8Array(this.#arena, this.#usedBytes, bytes);
    // Every piece begins where any kind of number may.
    this.#usedBytes += Math.ceil(bytes / 64) * 64;
    return room;
  }

  /** Room for that many numbers. */
  allocateFloats(count: number): Float32Array {
    const { byteOffset } = this.allocate(count * Float32Array.BYTES_PER_ELEMENT);
    return new Float32Array(this.#arena, byteOffset, count);
  }

  /** The operation may be waited for, and `bytes` used again, when the ticket has ended. */
  send(to: number, tag: number, bytes: Uint8Array, deadlineMs?: number | null): Ticket {
    return this.#begin(OPERATION.send, { peer: to, tag, bytes, deadlineMs });
  }

  /** `tag` and `length` of the ticket say what came. @param tag which it must have, where one is given */
  receive(from: number, into: Uint8Array, tag?: number, deadlineMs?: number | null): Ticket {
    return this.#begin(OPERATION.receive, { peer: from, tag, bytes: into, deadlineMs });
  }

  allReduce(buffer: Float32Array, deadlineMs?: number | null): Ticket {
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    return this.#begin(OPERATION.allReduce, { bytes, deadlineMs });
  }

  barrier(deadlineMs?: number | null): Ticket {
    return this.#begin(OPERATION.barrier, { deadlineMs });
  }

  broadcast(frame: Uint8Array, deadlineMs?: number | null): Ticket {
    return this.#begin(OPERATION.broadcast, { bytes: frame, deadlineMs });
  }

  /** `peer` and `length` of the ticket say what came. @param into `collectiveControlBytes` long */
  nextBroadcast(into: Uint8Array): Ticket {
    if (into.length < LIMITS.collectiveControlBytes) {
      throw new ShoalError(
        'invalid_request',
        `a control frame may have ${LIMITS.collectiveControlBytes} bytes`,
      );
    }
    return this.#begin(OPERATION.nextBroadcast, { bytes: into });
  }

  #begin(operation: OperationCode, { peer = 0, tag, bytes, deadlineMs }: Asked): Ticket {
    if (this.#control.isClosed) throw new ShoalError('cancelled', 'the collective was closed');
    if (bytes !== undefined && bytes.buffer !== this.#arena) {
      throw new ShoalError('invalid_request', 'a tensor for another thread must lie in the shared arena');
    }
    const slot = this.#control.slots.find(({ state }) => state === STATE.idle);
    if (slot === undefined) {
      throw new ShoalError(
        'invalid_request',
        `${this.#control.slots.length} operations are on their way already`,
      );
    }
    const { words } = slot;
    words[WORD.operation] = operation;
    words[WORD.peer] = peer;
    words[WORD.tag] = (tag ?? 0) | 0;
    words[WORD.isTagged] = tag === undefined ? 0 : 1;
    words[WORD.offset] = bytes?.byteOffset ?? 0;
    words[WORD.length] = bytes?.length ?? 0;
    words[WORD.deadlineMs] = deadlineMs === undefined ? DEADLINE.usual : (deadlineMs ?? DEADLINE.none);
    words[WORD.number] = this.#begun;
    this.#begun = (this.#begun + 1) | 0;
    Atomics.store(words, WORD.state, STATE.asked);
    this.#control.ask();
    return new Ticket(slot);
  }
}

/** An operation that was begun. It holds its slot until its end was waited for. */
export class Ticket {
  readonly #slot: Slot;
  #isTaken = false;
  /** Of what came, when something did. */
  peer = 0;
  tag = 0;
  length = 0;

  constructor(slot: Slot) {
    this.#slot = slot;
  }

  /** Would `wait` return at once? */
  get hasEnded(): boolean {
    return this.#isTaken || isEnd(this.#slot.state);
  }

  /**
   * Blocks the thread until the operation has ended.
   * @param limitMs returns before that when the time is over; the operation goes on
   * @returns whether it has ended
   * @throws {ShoalError} as the operation of `Collective`
   */
  wait(limitMs = Number.POSITIVE_INFINITY): boolean {
    if (this.#isTaken) return true;
    const { words } = this.#slot;
    const endsAt = performance.now() + limitMs;
    for (let state = this.#slot.state; !isEnd(state); state = this.#slot.state) {
      const leftMs = endsAt - performance.now();
      if (leftMs <= 0) return false;
      Atomics.wait(words, WORD.state, state, leftMs);
    }
    this.#isTaken = true;
    const failure = this.#slot.state === STATE.failed ? this.#slot.fault : null;
    this.peer = words[WORD.peer]!;
    this.tag = words[WORD.tag]! >>> 0;
    this.length = words[WORD.length]!;
    Atomics.store(words, WORD.state, STATE.idle);
    if (failure !== null) throw failure;
    return true;
  }
}

function isEnd(state: number): boolean {
  return state === STATE.done || state === STATE.failed;
}
