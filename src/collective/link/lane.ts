/**
 * Messages of one purpose on a link, in order, with a window of their own: one end sends no more than the other has
 * agreed to hold, so that nobody ever has to stop reading. A link that is always read shows the death of its other end
 * at once, and what is not taken in one lane holds up no other.
 */
import { LIMITS } from '../../shared/limits.js';
import { type FrameHeader, WireError } from './wire.js';

export interface LaneMessage {
  readonly header: FrameHeader;
  readonly bytes: Uint8Array;
}

/**
 * Says where a message goes, once its header is known; null lets it stay where it is.
 * @throws {WireError} when it is not the message that must come now
 */
export type Place = (header: FrameHeader) => Uint8Array | null;

interface Waiting<Value> {
  readonly resolve: (value: Value) => void;
  readonly reject: (reason: Error) => void;
}

interface Receiver extends Waiting<LaneMessage> {
  readonly place: Place;
}

interface Sender extends Waiting<void> {
  readonly cost: number;
}

/** Past this share of the window that was taken, the sender is told. The rest is room for the longest message. */
const CREDIT_SHARE = 0.25;

export class Lane {
  readonly #windowBytes: number;
  readonly #giveCredit: (bytes: number) => void;
  /** Sent, and not known to be taken. */
  #sentBytes = 0;
  readonly #senders: Sender[] = [];
  /** Arrived, and the sender has not been told that it was taken. */
  #heldBytes = 0;
  /** Taken of them. */
  #takenBytes = 0;
  readonly #arrived: LaneMessage[] = [];
  readonly #receivers: Receiver[] = [];
  /** The receiver of the message that is arriving, when its payload goes to its place directly. */
  #placed: Receiver | null = null;

  /** @param giveCredit tells the sender that so many bytes were taken */
  constructor(windowBytes: number, giveCredit: (bytes: number) => void) {
    this.#windowBytes = windowBytes;
    this.#giveCredit = giveCredit;
  }

  /** @returns null when a message of that length may be sent now, else what resolves when it may */
  reserve(length: number): Promise<void> | null {
    const cost = costOf(length);
    if (this.#senders.length === 0 && this.#sentBytes + cost <= this.#windowBytes) {
      this.#sentBytes += cost;
      return null;
    }
    return new Promise((resolve, reject) => this.#senders.push({ cost, resolve, reject }));
  }

  /** @throws {WireError} when it is credit for what was never sent */
  takeCredit(bytes: number): void {
    if (bytes > this.#sentBytes) throw new WireError('credit for more than was sent');
    this.#sentBytes -= bytes;
    for (;;) {
      const next = this.#senders[0];
      if (next === undefined || this.#sentBytes + next.cost > this.#windowBytes) return;
      this.#sentBytes += next.cost;
      this.#senders.shift();
      next.resolve();
    }
  }

  open(header: FrameHeader): Uint8Array {
    this.#heldBytes += costOf(header.length);
    if (this.#heldBytes > this.#windowBytes) throw new WireError('more than the window allows');
    const receiver = this.#arrived.length === 0 ? this.#receivers[0] : undefined;
    const place = receiver?.place(header) ?? null;
    this.#placed = place === null ? null : receiver!;
    return place ?? new Uint8Array(header.length);
  }

  complete(header: FrameHeader, bytes: Uint8Array): void {
    const message = { header, bytes };
    const placed = this.#placed;
    this.#placed = null;
    const receiver = this.#receivers[0];
    if (receiver === undefined) {
      this.#arrived.push(message);
      return;
    }
    // A receiver whose place refuses stays, to be told why by `fail`.
    receiver.resolve(placed === receiver ? message : moved(message, receiver.place));
    this.#receivers.shift();
    this.#took(header.length);
  }

  /** The next message. @throws {WireError} when it has arrived and must not come now */
  receive(place: Place): LaneMessage | Promise<LaneMessage> {
    const message = this.#arrived.shift();
    if (message === undefined) {
      return new Promise((resolve, reject) => this.#receivers.push({ place, resolve, reject }));
    }
    const result = moved(message, place);
    this.#took(message.header.length);
    return result;
  }

  /** Ends everything that waits. */
  fail(reason: Error): void {
    for (const waiting of [...this.#senders.splice(0), ...this.#receivers.splice(0)]) waiting.reject(reason);
    this.#arrived.length = 0;
  }

  #took(length: number): void {
    this.#takenBytes += costOf(length);
    if (this.#takenBytes < this.#windowBytes * CREDIT_SHARE) return;
    const bytes = this.#takenBytes;
    this.#takenBytes = 0;
    this.#heldBytes -= bytes;
    this.#giveCredit(bytes);
  }
}

function costOf(length: number): number {
  return length + LIMITS.collectiveMessageOverheadBytes;
}

function moved(message: LaneMessage, place: Place): LaneMessage {
  const target = place(message.header);
  if (target === null) return message;
  target.set(message.bytes);
  return { header: message.header, bytes: target };
}
