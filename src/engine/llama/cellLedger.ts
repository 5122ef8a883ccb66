/**
 * Who holds which KV cells: own accounting, so that a step that cannot be right is refused before native code sees
 * it, and so that free cells are known without asking. A cell is one position's keys and values; a copied prefix
 * shares its cells, and a cell is free again when no sequence holds it.
 */
export class CellLedger {
  readonly cells: number;
  readonly sequences: number;
  /** Cell of each position, by sequence. */
  readonly #held: Int32Array[];
  readonly #lengths: Int32Array;
  readonly #holders: Uint16Array;
  /** A stack of free cells; the first `#free` entries count. */
  readonly #freeCells: Int32Array;
  #free: number;

  constructor(sequences: number, cells: number) {
    this.sequences = sequences;
    this.cells = cells;
    this.#held = Array.from({ length: sequences }, () => new Int32Array(0));
    this.#lengths = new Int32Array(sequences);
    this.#holders = new Uint16Array(cells);
    this.#freeCells = Int32Array.from({ length: cells }, (_, index) => cells - 1 - index);
    this.#free = cells;
  }

  get freeCells(): number {
    return this.#free;
  }

  /** Positions that a sequence has: the next one is numbered so. */
  length(sequence: number): number {
    return this.#lengths[sequence] ?? 0;
  }

  /** Gives a sequence its next position. The caller has seen that a cell is free. */
  append(sequence: number): void {
    const length = this.length(sequence);
    const held = this.#withRoom(sequence, length + 1);
    this.#free -= 1;
    const cell = this.#freeCells[this.#free] as number;
    this.#holders[cell] = 1;
    held[length] = cell;
    this.#lengths[sequence] = length + 1;
  }

  /** Lets the empty sequence `to` hold the first `length` positions of `from` too. */
  share(from: number, to: number, length: number): void {
    const source = this.#held[from] as Int32Array;
    const target = this.#withRoom(to, length);
    for (let position = 0; position < length; position += 1) {
      const cell = source[position] as number;
      this.#holders[cell] = (this.#holders[cell] as number) + 1;
      target[position] = cell;
    }
    this.#lengths[to] = length;
  }

  /** Drops the positions [length, ∞) of a sequence. */
  truncate(sequence: number, length: number): void {
    const held = this.#held[sequence] as Int32Array;
    for (let position = this.length(sequence) - 1; position >= length; position -= 1) {
      const cell = held[position] as number;
      const holders = (this.#holders[cell] as number) - 1;
      this.#holders[cell] = holders;
      if (holders === 0) {
        this.#freeCells[this.#free] = cell;
        this.#free += 1;
      }
    }
    if (length < this.length(sequence)) this.#lengths[sequence] = length;
  }

  #withRoom(sequence: number, length: number): Int32Array {
    const held = this.#held[sequence] as Int32Array;
    if (held.length >= length) return held;
    const grown = new Int32Array(Math.min(this.cells, Math.max(length, held.length * 2, INITIAL_POSITIONS)));
    grown.set(held);
    this.#held[sequence] = grown;
    return grown;
  }
}

/** Positions that a sequence's first list has room for. */
const INITIAL_POSITIONS = 64;
