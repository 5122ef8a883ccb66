/**
 * The link to one other rank: its frames sorted into lanes, signs of life, and its end. What the lanes carry is the
 * business of the shapes.
 */
import type { Fault } from '../../shared/errors.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { LinkPath } from '../contract.js';
import { decodeFault, encodeFault } from './faultFrame.js';
import type { FrameHandler, FrameStream } from './frameStream.js';
import { Lane, type LaneMessage, type Place } from './lane.js';
import { type FrameHeader, KIND, type Kind, WireError } from './wire.js';

const LANE_KINDS = [KIND.tensor, KIND.control, KIND.part, KIND.result] as const;
export type LaneKind = (typeof LANE_KINDS)[number];

const LANE_SHIFT = 28;
const CREDIT_MASK = 2 ** LANE_SHIFT - 1;
const NOTHING = new Uint8Array(0);

/** How a link came to its end, seen from this rank. */
export type LinkEnd =
  /** The other end told of a fault, its own or another rank's. */
  | { readonly kind: 'told'; readonly fault: Fault }
  /** The other end closed its collective. */
  | { readonly kind: 'left' }
  /** The other end is gone without a word. */
  | { readonly kind: 'lost'; readonly reason: string }
  /** The other end said what it must not. */
  | { readonly kind: 'garbage'; readonly reason: string };

export class Link implements FrameHandler {
  readonly path: LinkPath;
  readonly #stream: FrameStream;
  readonly #onEnd: (link: Link, end: LinkEnd) => void;
  readonly #lanes: ReadonlyMap<Kind, Lane>;
  readonly #writers = new Set<(reason: Error) => void>();
  readonly #pings = new Set<() => void>();
  #failure: Error | null = null;
  /** The other end has said goodbye: that the connection closes is no news. */
  #hasLeft = false;

  /** Takes the stream over: its next frame is for the lanes. */
  constructor(stream: FrameStream, path: LinkPath, onEnd: (link: Link, end: LinkEnd) => void) {
    this.#stream = stream;
    this.path = path;
    this.#onEnd = onEnd;
    this.#lanes = new Map(
      LANE_KINDS.map((kind, index) => [
        kind,
        new Lane(
          kind === KIND.control ? LIMITS.collectiveControlWindowBytes : LIMITS.collectiveWindowBytes,
          (bytes) => stream.write(KIND.credit, index * 2 ** LANE_SHIFT + bytes),
        ),
      ]),
    );
    stream.handler = this;
  }

  /** The rank at the other end. */
  get peer(): number {
    return this.path.rank;
  }

  /** Resolves when the pieces may be used again. */
  send(kind: LaneKind, tag: number, pieces: readonly Uint8Array[]): Promise<void> {
    if (this.#failure !== null) return Promise.reject(this.#failure);
    let length = 0;
    for (const piece of pieces) length += piece.length;
    const wait = this.#lane(kind).reserve(length);
    return wait === null ? this.#write(kind, tag, pieces) : wait.then(() => this.#write(kind, tag, pieces));
  }

  /** The next message of a lane. One that is not as it must be ends the link. */
  async receive(kind: LaneKind, place: Place): Promise<LaneMessage> {
    if (this.#failure !== null) throw this.#failure;
    try {
      return await this.#lane(kind).receive(place);
    } catch (error) {
      if (error instanceof WireError) this.ended(error);
      throw this.#failure ?? error;
    }
  }

  /** Does the other end give a sign of life within the time? */
  isAnswering(limitMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (isAlive: boolean) => {
        clearTimeout(timer);
        this.#pings.delete(answered);
        resolve(isAlive);
      };
      const answered = () => settle(true);
      const timer = setTimeout(() => settle(false), limitMs);
      this.#pings.add(answered);
      this.#stream.write(KIND.ping, 0);
    });
  }

  /**
   * Ends the link and everything that waits on it.
   * @param last the fault that the other end shall hear; null says goodbye
   */
  end(reason: Error, last: Fault | null): void {
    if (this.#failure !== null) return;
    this.#failure = reason;
    if (last === null) this.#stream.close(KIND.goodbye, TIMES.collectiveFarewellMs);
    else this.#stream.close(KIND.abort, TIMES.collectiveFarewellMs, encodeFault(last));
    for (const lane of this.#lanes.values()) lane.fail(reason);
    for (const reject of this.#writers) reject(reason);
    this.#writers.clear();
  }

  /** Resolves when the connection is gone. */
  closed(): Promise<void> {
    return this.#stream.closed();
  }

  open(header: FrameHeader): Uint8Array {
    const lane = this.#lanes.get(header.kind);
    if (lane !== undefined) return lane.open(header);
    return header.length === 0 ? NOTHING : new Uint8Array(header.length);
  }

  complete(header: FrameHeader, payload: Uint8Array): void {
    switch (header.kind) {
      case KIND.tensor:
      case KIND.control:
      case KIND.part:
      case KIND.result:
        this.#lane(header.kind).complete(header, payload);
        return;
      case KIND.credit:
        this.#takeCredit(header.tag);
        return;
      case KIND.ping:
        this.#stream.write(KIND.pong, 0);
        return;
      case KIND.pong:
        for (const answered of [...this.#pings]) answered();
        return;
      case KIND.abort:
        this.#onEnd(this, { kind: 'told', fault: decodeFault(payload, this.peer) });
        return;
      case KIND.goodbye:
        this.#hasLeft = true;
        this.#onEnd(this, { kind: 'left' });
        return;
      default:
        throw new WireError(`a frame of kind ${header.kind} on a link that is open`);
    }
  }

  ended(error: Error): void {
    if (this.#failure !== null || this.#hasLeft) return;
    const kind = error instanceof WireError ? 'garbage' : 'lost';
    this.#onEnd(this, { kind, reason: error.message });
  }

  #lane(kind: LaneKind): Lane {
    return this.#lanes.get(kind)!;
  }

  #takeCredit(tag: number): void {
    const kind = LANE_KINDS[Math.floor(tag / 2 ** LANE_SHIFT)];
    if (kind === undefined) throw new WireError('credit for a lane that is not there');
    this.#lane(kind).takeCredit(tag & CREDIT_MASK);
  }

  #write(kind: LaneKind, tag: number, pieces: readonly Uint8Array[]): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== null) {
        reject(this.#failure);
        return;
      }
      this.#writers.add(reject);
      this.#stream.write(kind, tag, pieces, () => {
        this.#writers.delete(reject);
        resolve();
      });
    });
  }
}
