/**
 * The end of the bridge in the thread that has the links: it carries out what the computing thread asks for, and hands
 * back how it ended. Its event loop must be kept alive by something else, such as the links.
 */
import { toFault } from '../../shared/errors.js';
import type { Collective, OperationOptions } from '../contract.js';
import { type BridgeMemory, Control, DEADLINE, OPERATION, type Slot, STATE, WORD } from './layout.js';

export interface HostOptions {
  /** Called when an operation has ended: to wake a computing thread that sleeps on a bell of its own. */
  readonly onEnded?: () => void;
}

export class CollectiveHost {
  readonly #collective: Collective;
  readonly #control: Control;
  readonly #arena: SharedArrayBuffer;
  readonly #onEnded: () => void;
  #taken = 0;

  constructor(collective: Collective, { control, arena }: BridgeMemory, { onEnded }: HostOptions = {}) {
    this.#collective = collective;
    this.#control = new Control(control);
    this.#arena = arena;
    this.#onEnded = onEnded ?? (() => undefined);
    void this.#serve();
  }

  /** Takes no further operation. Those that are on their way end with the collective, which its owner closes. */
  close(): void {
    this.#control.close();
  }

  async #serve(): Promise<void> {
    while (!this.#control.isClosed) {
      const { asked } = this.#control;
      for (let slot = this.#nextAsked(); slot !== undefined; slot = this.#nextAsked()) {
        this.#taken = (this.#taken + 1) | 0;
        Atomics.store(slot.words, WORD.state, STATE.taken);
        void this.#carryOut(slot);
      }
      await this.#control.more(asked);
    }
  }

  /** Any slot may be asked next, but tensors of one rank must not overtake each other. */
  #nextAsked(): Slot | undefined {
    return this.#control.slots.find(
      ({ state, words }) => state === STATE.asked && words[WORD.number] === this.#taken,
    );
  }

  async #carryOut(slot: Slot): Promise<void> {
    let state: number = STATE.done;
    try {
      await this.#run(slot.words);
    } catch (error) {
      slot.fault = toFault(error);
      state = STATE.failed;
    }
    Atomics.store(slot.words, WORD.state, state);
    Atomics.notify(slot.words, WORD.state);
    this.#onEnded();
  }

  async #run(words: Int32Array): Promise<void> {
    const peer = words[WORD.peer]!;
    const tag = words[WORD.tag]! >>> 0;
    const options = optionsOf(words[WORD.deadlineMs]!);
    const [offset, length] = [words[WORD.offset]!, words[WORD.length]!];
    const bytes = new Uint8Array(this.#arena, offset, length);
    switch (words[WORD.operation]) {
      case OPERATION.send:
        await this.#collective.send(peer, tag, [bytes], options);
        return;
      case OPERATION.receive: {
        const expected = words[WORD.isTagged] === 1 ? { tag } : {};
        const received = await this.#collective.receive(peer, { ...options, ...expected, into: bytes });
        words[WORD.tag] = received.tag | 0;
        words[WORD.length] = received.bytes.length;
        return;
      }
      case OPERATION.allReduce: {
        const floats = new Float32Array(this.#arena, offset, length / Float32Array.BYTES_PER_ELEMENT);
        await this.#collective.allReduce(floats, options);
        return;
      }
      case OPERATION.barrier:
        await this.#collective.barrier(options);
        return;
      case OPERATION.broadcast:
        await this.#collective.broadcast(bytes, options);
        return;
      case OPERATION.nextBroadcast: {
        const frame = await this.#collective.nextBroadcast();
        if (frame.bytes.length > bytes.length) {
          throw new RangeError(
            `a control frame of ${frame.bytes.length} bytes, where there is room for ${length}`,
          );
        }
        bytes.set(frame.bytes);
        words[WORD.peer] = frame.from;
        words[WORD.length] = frame.bytes.length;
        return;
      }
      default:
        throw new RangeError(`there is no operation ${words[WORD.operation]}`);
    }
  }
}

function optionsOf(deadlineMs: number): OperationOptions {
  if (deadlineMs === DEADLINE.usual) return {};
  return { deadlineMs: deadlineMs === DEADLINE.none ? null : deadlineMs };
}
