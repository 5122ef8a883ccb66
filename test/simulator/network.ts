/**
 * The network between the machines. A pair has one link at most, with two ends that open and close apart. A link
 * closes at once when a process at one end dies; a cut cable says nothing, until probes find out. Control messages on
 * a bad network are delayed, dropped, repeated and swapped; streams on it are slow, but whole and in order.
 */
import type { PeerMessage } from '../../src/control/cluster/messages.js';
import type { LinkFacts } from '../../src/control/placement/types.js';
import type { Machine, Process } from './machine.js';
import type { Random } from './random.js';
import type { StreamMessage } from './streams.js';
import type { VirtualTime } from './virtualTime.js';

type Payload = { readonly control: PeerMessage } | { readonly stream: StreamMessage };

interface Held {
  readonly payload: Payload;
  /** What was on the way when the cable was cut goes before what was sent after that. */
  readonly number: number;
  hasArrived: boolean;
}

/** One connection of two processes; a stream lives on the one that it was opened on, and ends with it. */
export interface Link {
  readonly ends: readonly [Process, Process];
  readonly isOpen: [boolean, boolean];
  /** When the end opens: nothing arrives there before. */
  readonly opensAt: [number, number];
  /** What was last sent from an end arrives then. */
  readonly lastArrival: [number, number];
  /** Sent from an end into a cut cable, and sent again when it is whole. */
  readonly held: [Held[], Held[]];
  /** Words of streams from an end, in their order: one that comes before its turn waits for those before it. */
  readonly onTheWay: [Held[], Held[]];
}

export interface Weather {
  readonly delayMs: number;
  readonly drop: number;
  readonly repeat: number;
  /** Control messages may overtake each other. */
  readonly reorders: boolean;
}

export const FAIR_WEATHER: Weather = { delayMs: 1, drop: 0, repeat: 0, reorders: false };

/** A dead process or cable at the other end is found by probes within these times. */
const PROBE_MS = [3_000, 9_000] as const;
const DIAL_MS = [20, 600] as const;

export class Network {
  readonly #time: VirtualTime;
  readonly #random: Random;
  readonly #links = new Map<string, Link>();
  /** `a>b` for each direction in which nothing arrives; true when it is sent again later, false when it is lost. */
  readonly #cuts = new Map<string, boolean>();
  readonly #dialling = new Set<string>();
  weather = FAIR_WEATHER;
  readonly sent = { messages: 0 };

  constructor(time: VirtualTime, random: Random) {
    this.#time = time;
    this.#random = random;
  }

  /** Makes a link between two machines when both can, after the time that it takes to dial. */
  dial(a: Machine, b: Machine): void {
    const pair = pairOf(a, b);
    if (a === b || this.#dialling.has(pair)) return;
    this.#dialling.add(pair);
    this.#time.after(this.#random.between(...DIAL_MS), () => {
      this.#dialling.delete(pair);
      this.#open(a, b);
    });
  }

  #open(a: Machine, b: Machine): void {
    const [first, second] = a.id < b.id ? [a, b] : [b, a];
    const ends = [first.process, second.process] as const;
    if (ends[0] === null || ends[1] === null) return;
    const old = this.#links.get(pairOf(a, b));
    const isLinked = old?.isOpen[0] && old.isOpen[1];
    if (isLinked && old.ends[0] === ends[0] && old.ends[1] === ends[1]) return;
    if (first.isPaused || second.isPaused || this.#isCut(first, second) || this.#isCut(second, first)) {
      this.dial(a, b);
      return;
    }
    if (old !== undefined) for (const end of [0, 1] as const) this.#closeEnd(old, end);
    const { now } = this.#time;
    const delays = [this.#delay(), this.#delay()] as const;
    const link: Link = {
      ends: [ends[0], ends[1]],
      isOpen: [true, true],
      opensAt: [now + delays[0], now + delays[1]],
      lastArrival: [now, now],
      held: [[], []],
      onTheWay: [[], []],
    };
    this.#links.set(pairOf(a, b), link);
    for (const end of [0, 1] as const) {
      this.#time.after(delays[end], () => {
        if (link.isOpen[end]) link.ends[end].linkOpened(link.ends[(1 - end) as 0 | 1]);
      });
    }
  }

  isOpen(from: Process, to: Machine): boolean {
    const link = this.#links.get(pairOf(from.machine, to));
    if (link === undefined) return false;
    const end = endOf(link, from);
    return end !== null && link.isOpen[end] && link.opensAt[end] <= this.#time.now;
  }

  /** The links that are open, as their two ends measure them. */
  openLinks(machines: readonly Machine[]): LinkFacts[] {
    return machines.flatMap(({ process }) =>
      machines
        .filter((other) => process !== null && process.machine !== other && this.isOpen(process, other))
        .map((other) => ({
          from: (process as Process).machine.id,
          to: other.id,
          isConnected: true,
          roundTripUs: null,
          bytesPerSecond: null,
          rdma: false,
        })),
    );
  }

  /** The link that words to this machine go over now. */
  linkTo(from: Process, to: Machine): Link | null {
    return this.#links.get(pairOf(from.machine, to)) ?? null;
  }

  /** False when there is no link, or not this one any more. */
  send(from: Process, to: Machine, payload: Payload, over: Link | null = this.linkTo(from, to)): boolean {
    const link = this.#links.get(pairOf(from.machine, to));
    const end = link === undefined || link !== over ? null : endOf(link, from);
    if (link === undefined || end === null || !link.isOpen[end]) return false;
    this.sent.messages += 1;
    const holds = this.#cuts.get(`${from.machine.id}>${to.id}`);
    const sent = { payload, number: this.sent.messages, hasArrived: false };
    if ('stream' in payload) link.onTheWay[end].push(sent);
    if (holds !== undefined) {
      if (holds || 'stream' in payload) link.held[end].push(sent);
    } else this.#carry(link, end, sent);
    return true;
  }

  #carry(link: Link, end: 0 | 1, sent: Held): void {
    const { payload } = sent;
    const { drop, repeat, reorders } = this.weather;
    const isControl = 'control' in payload;
    if (isControl && drop > 0 && this.#random.chance(drop)) return;
    const copies = isControl && repeat > 0 && this.#random.chance(repeat) ? 2 : 1;
    for (let copy = 0; copy < copies; copy += 1) {
      let arrival = Math.max(this.#time.now + this.#delay(), link.opensAt[(1 - end) as 0 | 1]);
      if (!isControl || !reorders) {
        arrival = Math.max(arrival, link.lastArrival[end]);
        link.lastArrival[end] = arrival;
      }
      this.#time.at(arrival, () => this.#arrive(link, end, sent));
    }
  }

  #arrive(link: Link, end: 0 | 1, sent: Held): void {
    const { payload } = sent;
    const other = (1 - end) as 0 | 1;
    if (!link.isOpen[other]) return;
    const [from, to] = [link.ends[end], link.ends[other]];
    const holds = this.#cuts.get(`${from.machine.id}>${to.machine.id}`);
    if (holds === undefined) {
      sent.hasArrived = true;
      if ('control' in payload) to.received(from, payload.control);
      else this.#deliverStreams(link, end);
    } else if (holds || 'stream' in payload) link.held[end].push(sent);
  }

  #deliverStreams(link: Link, end: 0 | 1): void {
    const [from, to] = [link.ends[end], link.ends[(1 - end) as 0 | 1]];
    const waiting = link.onTheWay[end];
    while (waiting[0]?.hasArrived && link.isOpen[(1 - end) as 0 | 1]) {
      const { payload } = waiting.shift() as Held;
      if ('stream' in payload) to.streamReceived(from, payload.stream, link);
    }
  }

  /** The process at one end is gone: the other hears of it, unless the cable is cut. */
  processDied(died: Process, machines: Iterable<Machine>): void {
    for (const machine of machines) {
      const pair = pairOf(died.machine, machine);
      const link = this.#links.get(pair);
      const end = link === undefined ? null : endOf(link, died);
      if (link === undefined || end === null) continue;
      link.isOpen[end] = false;
      const isCut = this.#isCut(died.machine, machine);
      const waitMs = isCut
        ? this.#random.between(...PROBE_MS)
        : Math.max(0, link.lastArrival[end] - this.#time.now) + this.#delay();
      this.#time.after(waitMs, () => this.#closeEnd(link, (1 - end) as 0 | 1));
    }
  }

  /** The link is reset: both ends close, and dial again. */
  reset(a: Machine, b: Machine): void {
    const link = this.#links.get(pairOf(a, b));
    if (link === undefined) return;
    for (const end of [0, 1] as const) this.#time.after(this.#delay(), () => this.#closeEnd(link, end));
    this.#time.after(20, () => this.dial(a, b));
  }

  #closeEnd(link: Link, end: 0 | 1): void {
    if (!link.isOpen[end]) return;
    link.isOpen[end] = false;
    const [self, peer] = [link.ends[end], link.ends[(1 - end) as 0 | 1]];
    if (link.opensAt[end] <= this.#time.now) self.linkClosed(peer);
    this.dial(self.machine, peer.machine);
  }

  /** Nothing arrives in this direction any more. Probes close the link at each end after a while, if it stays so. */
  cut(from: Machine, to: Machine, holds: boolean): void {
    const direction = `${from.id}>${to.id}`;
    if (this.#cuts.has(direction)) return;
    this.#cuts.set(direction, holds);
    const link = this.#links.get(pairOf(from, to));
    if (link === undefined) return;
    for (const end of [0, 1] as const) {
      this.#time.after(this.#random.between(...PROBE_MS), () => {
        if (this.#isCut(from, to)) this.#closeEnd(link, end);
      });
    }
  }

  heal(from: Machine, to: Machine): void {
    if (!this.#cuts.delete(`${from.id}>${to.id}`)) return;
    const link = this.#links.get(pairOf(from, to));
    if (link !== undefined) {
      const end = link.ends[0].machine === from ? 0 : 1;
      const held = link.held[end].splice(0).sort((a, b) => a.number - b.number);
      for (const sent of held) this.#carry(link, end, sent);
      // A half that did not learn of the other's end learns it now, from the reset that answers its next words.
      for (const half of [0, 1] as const) {
        if (!link.isOpen[(1 - half) as 0 | 1])
          this.#time.after(this.#delay(), () => this.#closeEnd(link, half));
      }
    }
    this.dial(from, to);
  }

  healAll(machines: readonly Machine[]): void {
    for (const from of machines) for (const to of machines) this.heal(from, to);
  }

  #isCut(from: Machine, to: Machine): boolean {
    return this.#cuts.has(`${from.id}>${to.id}`);
  }

  #delay(): number {
    return 0.2 + this.#random.exponential(this.weather.delayMs);
  }
}

function pairOf(a: Machine, b: Machine): string {
  return a.id < b.id ? `${a.id}|${b.id}` : `${b.id}|${a.id}`;
}

function endOf(link: Link, process: Process): 0 | 1 | null {
  if (link.ends[0] === process) return 0;
  return link.ends[1] === process ? 1 : null;
}
