/**
 * The engine's sequence slots. A slot is free, runs a request, or keeps the cells of a sequence that has ended
 * for prompts that begin alike: the prefix cache, dropped oldest use first whenever its slots or cells are needed.
 * All changes of cells go through here, so that the ledger stays equal to the engine.
 *
 * A kept prompt is not free of charge: all sequences share one pool, and attention walks over all used cells of it. An
 * entry is therefore dropped once attention has walked over it so often that computing it again would have cost as
 * much: whatever comes, that is at most twice as dear as knowing it beforehand.
 */
import type { StepMachine } from '../step/contract.js';
import { CellLedger } from './cellLedger.js';

export interface PrefixMatch {
  readonly slot: number;
  readonly length: number;
}

/** Sizes of the prefix cache. */
export interface CacheLimits {
  readonly cacheEntries: number;
  /** How often attention may walk over an entry since its last use; more drops it. */
  readonly cacheWalks: number;
}

export class Slots {
  readonly ledger: CellLedger;
  readonly #machine: StepMachine;
  readonly #cacheEntries: number;
  readonly #cacheWalks: number;
  readonly #free: number[];
  /** Tokens of each slot in use, as many as the ledger has cells; the array may be longer. */
  readonly #tokens = new Map<number, Int32Array>();
  /** Slots of the prefix cache, least recently used first, each with the walks until its last use. */
  readonly #cached = new Map<number, number>();
  #walks = 0;

  constructor(machine: StepMachine, { cacheEntries, cacheWalks }: CacheLimits) {
    this.#machine = machine;
    this.#cacheEntries = machine.canTruncate ? cacheEntries : 0;
    this.#cacheWalks = cacheWalks;
    this.ledger = new CellLedger(machine.capacity.sequences, machine.capacity.cells);
    this.#free = Array.from({ length: machine.capacity.sequences }, (_, slot) => slot).reverse();
  }

  /** Can a sequence take over a part of another one's cells? */
  get canShare(): boolean {
    return this.#machine.canTruncate;
  }

  /** An empty slot for a sequence whose tokens will stand in `tokens`. The caller keeps within the slots that exist. */
  acquire(tokens: Int32Array): number {
    if (this.#free.length === 0) this.#dropOldest();
    const slot = this.#free.pop();
    if (slot === undefined) throw new Error('every slot runs a request');
    this.#tokens.set(slot, tokens);
    this.ledger.pin(slot);
    return slot;
  }

  /** Ends a sequence's use of its slot. @param keep may its cells serve later prompts? */
  release(slot: number, keep: boolean): void {
    const length = this.ledger.length(slot);
    const tokens = this.#tokens.get(slot)!.slice(0, length);
    if (!keep || length === 0 || this.#cacheEntries === 0 || this.#isCovered(tokens)) {
      this.#clear(slot);
      this.ledger.unpin(slot);
      return;
    }
    this.ledger.unpin(slot);
    this.#tokens.set(slot, tokens);
    for (const other of this.#cached.keys()) {
      if (this.#sharedLength(other, tokens) === this.ledger.length(other)) this.#drop(other);
    }
    this.#use(slot);
    while (this.#cached.size > this.#cacheEntries) this.#dropOldest();
  }

  /** Takes back the rows that are on their way. Only where sequences can be cut; else nothing is ever kept. */
  cutBack(slot: number): void {
    if (this.canShare) this.#machine.truncate(slot, this.ledger.length(slot));
  }

  /** Attention walks over all used cells so often; entries that have cost what they are worth are dropped. */
  charge(walks: number): void {
    this.#walks += walks;
    for (const [slot, walksAtUse] of this.#cached) {
      if (this.#walks - walksAtUse <= this.#cacheWalks) return;
      this.#drop(slot);
    }
  }

  /** Drops entries of the prefix cache until `cells` are free, or none is left. */
  makeRoom(cells: number): void {
    while (this.ledger.freeCells < cells && this.#cached.size > 0) this.#dropOldest();
  }

  dropCache(): void {
    while (this.#cached.size > 0) this.#dropOldest();
  }

  /** The slot, running or cached, that has the most of the prompt; at least one token is left to compute. */
  bestMatch(prompt: Int32Array): PrefixMatch | null {
    if (!this.#machine.canTruncate) return null;
    let best: PrefixMatch | null = null;
    for (const slot of this.#tokens.keys()) {
      const length = Math.min(this.#sharedLength(slot, prompt), prompt.length - 1);
      if (length > (best?.length ?? 0)) best = { slot, length };
    }
    return best;
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#machine.copyPrefix(from, to, length);
    this.ledger.copyPrefix(from, to, length);
    if (this.#cached.has(from)) this.#use(from);
  }

  #use(slot: number): void {
    this.#cached.delete(slot);
    this.#cached.set(slot, this.#walks);
  }

  #isCovered(tokens: Int32Array): boolean {
    for (const slot of this.#cached.keys()) {
      if (this.#sharedLength(slot, tokens) < tokens.length) continue;
      this.#use(slot);
      return true;
    }
    return false;
  }

  #sharedLength(slot: number, tokens: Int32Array): number {
    return sharedPrefixLength(this.#tokens.get(slot)!, tokens, this.ledger.length(slot));
  }

  #dropOldest(): void {
    const [oldest] = this.#cached.keys();
    if (oldest !== undefined) this.#drop(oldest);
  }

  #drop(slot: number): void {
    this.#cached.delete(slot);
    this.#clear(slot);
  }

  #clear(slot: number): void {
    if (!this.#machine.truncate(slot, 0)) throw new Error(`the engine could not empty sequence ${slot}`);
    this.ledger.clear(slot);
    this.#tokens.delete(slot);
    this.#free.push(slot);
  }
}

/** How many tokens two lists have in common from the start, at most `limit`. */
export function sharedPrefixLength(left: Int32Array, right: Int32Array, limit: number): number {
  const most = Math.min(left.length, right.length, limit);
  let length = 0;
  while (length < most && left[length] === right[length]) length += 1;
  return length;
}
