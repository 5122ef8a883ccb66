/** Messages from and to one other rank, which lie in the memory that the thread with the links shares. */
import type { BlockingCollective, Ticket } from '../../collective/bridge/blockingCollective.js';
import { RankNames } from '../../collective/culprit.js';
import type { ErrorCode, ShoalError } from '../../shared/errors.js';
import { FrameError } from '../../shared/frames.js';
import type { Patience } from './patience.js';

/** Receives the next message while one is worked on. */
const ROOMS_IN = 2;

export interface Correspondent {
  readonly rank: number;
  /** Of the nodes of all ranks. */
  readonly names: readonly string[];
  /** Begins to receive its next message. */
  receive(room: Uint8Array): Ticket;
}

/** The messages of one rank, in the order in which it sent them. */
export class Inbox {
  readonly #from: Correspondent;
  readonly #patience: Patience;
  /** Receptions on their way, the next one first. */
  readonly #expected: { readonly room: Uint8Array; readonly ticket: Ticket }[] = [];
  /** The one that is worked on. */
  #open: Uint8Array | null = null;

  constructor(ranks: BlockingCollective, from: Correspondent, roomBytes: number, patience: Patience) {
    this.#from = from;
    this.#patience = patience;
    for (let room = 0; room < ROOMS_IN; room++) this.#expect(ranks.allocate(roomBytes));
  }

  /** Has the next message come? */
  get hasMail(): boolean {
    return this.#expected[0]?.ticket.hasEnded ?? true;
  }

  /**
   * Waits for the next message; what `read` makes of its bytes may be used until the next call.
   * @throws {ShoalError} the fault that has ended the links; `peer_protocol_error` when it cannot be read
   */
  next<Message>(read: (bytes: Uint8Array) => Message): Message {
    if (this.#open !== null) this.#expect(this.#open);
    const { room, ticket } = this.#expected.shift()!;
    this.#open = room;
    this.#patience.wait(ticket);
    const { rank } = this.#from;
    if (ticket.peer !== rank) {
      throw this.blame(`it spoke where only rank ${rank} has a say`, ticket.peer);
    }
    try {
      return read(room.subarray(0, ticket.length));
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      throw this.blame(`it sent ${error.message}`);
    }
  }

  /** The fault of a rank that says what none says. @param rank @default the one that the messages are of */
  blame(what: string, rank: number = this.#from.rank): ShoalError {
    return this.fault('peer_protocol_error', `is not understood: ${what}`, rank);
  }

  /** A fault of a rank, by default the one that the messages are of. @param what as of `RankNames.fault` */
  fault(code: ErrorCode, what: string, rank: number = this.#from.rank): ShoalError {
    return new RankNames(this.#from.names).fault(code, rank, what);
  }

  #expect(room: Uint8Array): void {
    this.#expected.push({ room, ticket: this.#from.receive(room) });
  }
}

/** Messages to one rank, or to all. */
export class Outbox {
  readonly #begin: (bytes: Uint8Array) => Ticket;
  readonly #patience: Patience;
  readonly #rooms: { readonly bytes: Uint8Array; ticket: Ticket | null }[];
  #sent = 0;

  /**
   * @param begin to send
   * @param rooms messages that may be on their way
   */
  constructor(
    ranks: BlockingCollective,
    begin: (bytes: Uint8Array) => Ticket,
    { roomBytes, rooms }: { readonly roomBytes: number; readonly rooms: number },
    patience: Patience,
  ) {
    this.#begin = begin;
    this.#patience = patience;
    this.#rooms = Array.from({ length: rooms }, () => ({ bytes: ranks.allocate(roomBytes), ticket: null }));
  }

  /** @param write puts a message into the room, and says how long it is */
  send(write: (room: Uint8Array) => number): void {
    const room = this.#rooms[this.#sent % this.#rooms.length]!;
    if (room.ticket !== null) this.#patience.wait(room.ticket);
    const length = write(room.bytes);
    room.ticket = this.#begin(room.bytes.subarray(0, length));
    this.#sent += 1;
  }
}
