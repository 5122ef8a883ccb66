/**
 * Tells new announcements from repeated ones. Within one start of a node ("boot") a window over the sequence numbers
 * does it. A boot that was not heard before is believed when its clock is near ours and ahead of what that node said
 * last, or when it speaks to our own boot, which nobody could have recorded earlier. Else it is doubtful, and is asked:
 * so two nodes whose clocks are hours apart find each other all the same.
 */
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { Announcement } from './announcement.js';

export type Verdict = 'newcomer' | 'known' | 'repeated' | 'doubtful';

interface Heard {
  readonly boot: string;
  readonly window: SequenceWindow;
  clockMs: number;
}

export class ReplayGuard {
  readonly #ownBoot: string;
  /** In the order in which they were last heard. */
  readonly #heard = new Map<NodeId, Heard>();

  constructor(ownBoot: string) {
    this.#ownBoot = ownBoot;
  }

  /** @param nowMs own clock, milliseconds since the epoch */
  judge({ nodeId, boot, to, sequence, clockMs }: Announcement, nowMs: number): Verdict {
    const heard = this.#heard.get(nodeId);
    if (heard?.boot === boot) {
      if (!heard.window.take(sequence)) return 'repeated';
      heard.clockMs = Math.max(heard.clockMs, clockMs);
      this.#keep(nodeId, heard);
      return 'known';
    }
    const isNear = Math.abs(clockMs - nowMs) <= TIMES.clockSkewMs;
    const isLater = clockMs > (heard?.clockMs ?? Number.NEGATIVE_INFINITY);
    if (to !== this.#ownBoot && !(isNear && isLater)) return 'doubtful';
    const window = new SequenceWindow();
    window.take(sequence);
    this.#keep(nodeId, { boot, window, clockMs });
    return 'newcomer';
  }

  #keep(nodeId: NodeId, heard: Heard): void {
    this.#heard.delete(nodeId);
    this.#heard.set(nodeId, heard);
    if (this.#heard.size <= LIMITS.discoveredNodes) return;
    const [longestSilent] = this.#heard.keys();
    if (longestSilent !== undefined) this.#heard.delete(longestSilent);
  }
}

/** Accepts each number once, in any order within the last 64 (RFC 4303, section 3.4.3): paths overtake each other. */
class SequenceWindow {
  #highest = -1;
  /** Bit n: `highest - n` was there. */
  #seen = 0n;

  take(sequence: number): boolean {
    if (sequence > this.#highest) {
      const step = sequence - this.#highest;
      this.#seen = step >= 64 ? 1n : BigInt.asUintN(64, (this.#seen << BigInt(step)) | 1n);
      this.#highest = sequence;
      return true;
    }
    const age = this.#highest - sequence;
    const bit = 1n << BigInt(Math.min(age, 64));
    if (age >= 64 || (this.#seen & bit) !== 0n) return false;
    this.#seen |= bit;
    return true;
  }
}
