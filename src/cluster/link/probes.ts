/**
 * Probes of one link: an echo each second measures the round trip, of which the shortest of the newest few counts: that
 * is what the way takes, and what a busy process adds now and then is not. A link on which nothing at all arrives while
 * some probes go by is over. Silence is counted in probes, not in time, so that a process that was stopped itself does
 * not blame the other end when it goes on.
 */
import { LIMITS, TIMES } from '../../shared/limits.js';

export interface ProbeEvents {
  send(payload: Buffer): void;
  /** Nothing arrived for so many seconds. Called at most once. */
  silent(seconds: number): void;
}

interface Pending {
  readonly number: number;
  readonly sentAtMs: number;
}

export class Probes {
  readonly #events: ProbeEvents;
  readonly #waiting = new Map<number, () => void>();
  #timer: NodeJS.Timeout | null = null;
  #lastNumber = 0;
  #pending: Pending | null = null;
  readonly #roundTripsUs: number[] = [];
  #silentProbes = 0;

  constructor(events: ProbeEvents) {
    this.#events = events;
  }

  /** Microseconds; null before the first answer. */
  get roundTripUs(): number | null {
    return this.#roundTripsUs.length === 0 ? null : Math.min(...this.#roundTripsUs);
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), TIMES.linkProbeMs);
    this.#measure();
  }

  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const answered of [...this.#waiting.values()]) answered();
  }

  /** Something arrived. */
  heard(): void {
    this.#silentProbes = 0;
  }

  answered(payload: Buffer): void {
    if (payload.length !== 4) return;
    const number = payload.readUInt32LE(0);
    if (this.#pending?.number === number) {
      this.#roundTripsUs.push(Math.round((performance.now() - this.#pending.sentAtMs) * 1_000));
      if (this.#roundTripsUs.length > LIMITS.linkRoundTrips) this.#roundTripsUs.shift();
      this.#pending = null;
    }
    this.#waiting.get(number)?.();
  }

  /** @returns whether a probe sent now is answered within this time; false when the link closes */
  isAnswered(timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const number = this.#send();
      const finish = (isAnswered: boolean) => {
        clearTimeout(timer);
        this.#waiting.delete(number);
        resolve(isAnswered);
      };
      const timer = setTimeout(() => finish(false), timeoutMs);
      this.#waiting.set(number, () => finish(this.#timer !== null));
    });
  }

  #tick(): void {
    this.#silentProbes += 1;
    if (this.#silentProbes > LIMITS.linkSilentProbes) {
      this.#events.silent((LIMITS.linkSilentProbes * TIMES.linkProbeMs) / 1_000);
    } else if (this.#pending === null) this.#measure();
    // The answer to the last one is late; the next would only wait behind it.
    else this.#send();
  }

  #measure(): void {
    const number = this.#send();
    this.#pending = { number, sentAtMs: performance.now() };
  }

  #send(): number {
    this.#lastNumber = (this.#lastNumber + 1) % 2 ** 32;
    const payload = Buffer.allocUnsafe(4);
    payload.writeUInt32LE(this.#lastNumber);
    this.#events.send(payload);
    return this.#lastNumber;
  }
}
