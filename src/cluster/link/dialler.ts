/**
 * The addresses where other nodes may be, and when each is dialled: at once when it becomes known or when the link to
 * its node closes, then again after growing pauses, as long as no link to its node is open.
 */

import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { formatAddress, type HostAndPort } from './addresses.js';

export interface DialOutcome {
  /** Who answered there, where that is proved. */
  readonly nodeId: NodeId | null;
  /** The address is this node itself. */
  readonly isSelf: boolean;
}

export interface DiallerComponents {
  /** One attempt, bounded in time. Never rejects. */
  readonly connect: (address: HostAndPort, isKept: boolean) => Promise<DialOutcome>;
  readonly isLinked: (nodeId: NodeId) => boolean;
  /** From 0 to 1; @default Math.random */
  readonly random?: () => number;
}

interface Target {
  readonly address: HostAndPort;
  isKept: boolean;
  /** Who was there last. */
  nodeId: NodeId | null;
  /** Attempts since a node answered there. */
  failures: number;
  isDialling: boolean;
  timer: NodeJS.Timeout | null;
}

/** Dialling oneself does no good before the address has moved. */
const SELF_FAILURES = 5;

export class Dialler {
  readonly #connect: DiallerComponents['connect'];
  readonly #isLinked: DiallerComponents['isLinked'];
  readonly #random: () => number;
  readonly #targets = new Map<string, Target>();
  #isClosed = false;

  constructor({ connect, isLinked, random = Math.random }: DiallerComponents) {
    this.#connect = connect;
    this.#isLinked = isLinked;
    this.#random = random;
  }

  get addressCount(): number {
    return this.#targets.size;
  }

  dial(address: HostAndPort, isKept: boolean): void {
    const target = this.#targetAt(address, isKept);
    if (target !== null && !target.isDialling) this.#dialIn(target, 0);
  }

  /** A node that is linked can be dialled here too, when the link closes. */
  learn(address: HostAndPort, nodeId: NodeId): void {
    const target = this.#targetAt(address, false);
    if (target !== null && target.nodeId === null) this.#assign(target, nodeId);
  }

  /** No link to the node is open any more. */
  linkLost(nodeId: NodeId): void {
    let delayMs = 0;
    // The address that worked last comes first.
    for (const target of [...this.#targets.values()].reverse()) {
      if (target.nodeId !== nodeId || target.isDialling) continue;
      target.failures = 0;
      this.#dialIn(target, delayMs);
      delayMs += TIMES.dialPauseMs;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const target of this.#targets.values()) if (target.timer !== null) clearTimeout(target.timer);
    this.#targets.clear();
  }

  #targetAt(address: HostAndPort, isKept: boolean): Target | null {
    if (this.#isClosed) return null;
    const key = formatAddress(address);
    const known = this.#targets.get(key);
    if (known !== undefined) {
      known.isKept ||= isKept;
      return known;
    }
    if (this.#targets.size >= LIMITS.dialAddresses && !this.#forgetOne()) return null;
    const target = { address, isKept, nodeId: null, failures: 0, isDialling: false, timer: null };
    this.#targets.set(key, target);
    return target;
  }

  #dialIn(target: Target, delayMs: number): void {
    if (target.timer !== null) clearTimeout(target.timer);
    target.timer = setTimeout(() => {
      target.timer = null;
      void this.#attempt(target);
    }, delayMs);
  }

  async #attempt(target: Target): Promise<void> {
    if (this.#isLinkedTo(target)) return;
    target.isDialling = true;
    const { nodeId, isSelf } = await this.#connect(target.address, target.isKept);
    target.isDialling = false;
    if (this.#isClosed) return;
    if (nodeId !== null) this.#assign(target, nodeId);
    if (this.#isLinkedTo(target)) {
      target.failures = 0;
      return;
    }
    target.failures = isSelf ? Math.max(target.failures + 1, SELF_FAILURES) : target.failures + 1;
    const isUseless = isSelf || (target.nodeId === null && target.failures >= LIMITS.dialAttempts);
    if (isUseless && !target.isKept) this.#forget(target);
    else this.#dialIn(target, this.#pauseMs(target.failures));
  }

  #isLinkedTo({ nodeId }: Target): boolean {
    return nodeId !== null && this.#isLinked(nodeId);
  }

  /** The order of the map is the order in which addresses last worked. */
  #assign(target: Target, nodeId: NodeId): void {
    target.nodeId = nodeId;
    const key = formatAddress(target.address);
    if (!this.#targets.delete(key)) return;
    this.#targets.set(key, target);
    const others = [...this.#targets.values()].filter((other) => other.nodeId === nodeId && !other.isKept);
    if (others.length > LIMITS.dialAddressesPerNode) this.#forget(others[0]!);
  }

  #pauseMs(failures: number): number {
    const pauseMs = Math.min(TIMES.dialPauseMs * 2 ** (failures - 1), TIMES.dialLongestPauseMs);
    return pauseMs * (0.5 + this.#random() / 2);
  }

  #forget(target: Target): void {
    if (target.timer !== null) clearTimeout(target.timer);
    this.#targets.delete(formatAddress(target.address));
  }

  /** Makes place for a newer address; kept ones and those of linked nodes stay. */
  #forgetOne(): boolean {
    for (const target of this.#targets.values()) {
      if (target.isKept || target.isDialling || this.#isLinkedTo(target)) continue;
      this.#forget(target);
      return true;
    }
    return false;
  }
}
