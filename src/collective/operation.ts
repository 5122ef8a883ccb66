/**
 * One operation on its way: it knows for whom it waits, so that the one at fault can be named when it does not end in
 * time. Shapes exchange messages through it.
 */
import type { LaneMessage, Place } from './link/lane.js';
import type { LaneKind, Link } from './link/link.js';
import { type FrameHeader, WireError } from './link/wire.js';
import type { LinkGroup } from './linkGroup.js';

interface Wait {
  readonly link: Link;
  /** The rank whose contribution is missing; not always the one at the other end of the link. */
  readonly origin: number;
}

export class Operation {
  readonly #group: LinkGroup;
  readonly #waits = new Set<Wait>();
  isOver = false;

  constructor(group: LinkGroup) {
    this.#group = group;
  }

  get waits(): readonly Wait[] {
    return [...this.#waits];
  }

  /** Resolves when the pieces may be used again. */
  async send(to: number, kind: LaneKind, tag: number, pieces: readonly Uint8Array[]): Promise<void> {
    const link = this.#link(to);
    await this.#waitFor(link, to, link.send(kind, tag, pieces));
  }

  async receive(from: number, kind: LaneKind, place: Place, origin = from): Promise<LaneMessage> {
    const link = this.#link(from);
    return await this.#waitFor(link, origin, link.receive(kind, place));
  }

  async #waitFor<Value>(link: Link, origin: number, work: Promise<Value>): Promise<Value> {
    const wait = { link, origin };
    this.#waits.add(wait);
    try {
      return await work;
    } finally {
      this.#waits.delete(wait);
    }
  }

  #link(rank: number): Link {
    const { failure, links } = this.#group;
    if (failure !== null) throw failure;
    return links.get(rank)!;
  }
}

/**
 * The step of an operation of all ranks. The messages of one such operation carry its number, so that ranks that are
 * not in step find out.
 */
export class Step {
  readonly #operation: Operation;
  readonly #number: number;
  readonly #posted: Promise<void>[] = [];

  constructor(operation: Operation, number: number) {
    this.#operation = operation;
    this.#number = number;
  }

  /** Resolves when the bytes may be changed again. */
  send(to: number, kind: LaneKind, bytes: Uint8Array): Promise<void> {
    return this.#operation.send(to, kind, this.#number, [bytes]);
  }

  /** Sends while other things go on; `posted` says when the bytes may be changed again. */
  post(to: number, kind: LaneKind, bytes: Uint8Array): void {
    const sent = this.send(to, kind, bytes);
    // A failure is the end of all links, which whatever goes on meanwhile and `posted` both throw.
    sent.catch(() => undefined);
    this.#posted.push(sent);
  }

  async posted(): Promise<void> {
    await Promise.all(this.#posted);
  }

  /** Receives exactly as many bytes as there is room for. @param origin whose contribution it is */
  async receive(from: number, kind: LaneKind, into: Uint8Array, origin = from): Promise<void> {
    await this.#operation.receive(from, kind, (header) => this.#place(header, into), origin);
  }

  #place({ tag, length }: FrameHeader, into: Uint8Array): Uint8Array {
    if (tag !== this.#number) {
      throw new WireError(`its part of operation ${tag} while this rank is in operation ${this.#number}`);
    }
    if (length !== into.length) {
      throw new WireError(`${length} bytes for operation ${tag}, which has ${into.length} here`);
    }
    return into;
  }
}
