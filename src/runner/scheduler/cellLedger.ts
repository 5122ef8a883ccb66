/**
 * Which KV cells the engine's sequences hold, kept without asking the engine: cells are shared by copied prefixes, and
 * free when no sequence holds them. A slot is *pinned* while a request runs in it; cells of the prefix cache alone
 * can be had at any time by dropping its entries.
 */
export class CellLedger {
  readonly totalCells: number;
  readonly #slots: Slot[];
  readonly #free: number[] = [];
  /** For each cell, how many slots hold it, and how many of them are pinned. */
  readonly #holders: Uint16Array;
  readonly #pins: Uint16Array;
  #pinnedCells = 0;

  constructor(slots: number, totalCells: number) {
    this.totalCells = totalCells;
    this.#slots = Array.from({ length: slots }, () => ({ cells: [], isPinned: false }));
    this.#holders = new Uint16Array(totalCells);
    this.#pins = new Uint16Array(totalCells);
    for (let cell = totalCells - 1; cell >= 0; cell--) this.#free.push(cell);
  }

  get usedCells(): number {
    return this.totalCells - this.#free.length;
  }

  get freeCells(): number {
    return this.#free.length;
  }

  /** Cells that running requests hold. */
  get pinnedCells(): number {
    return this.#pinnedCells;
  }

  /** Cells of the prefix cache alone. */
  get cachedCells(): number {
    return this.usedCells - this.#pinnedCells;
  }

  length(slot: number): number {
    return this.#slot(slot).cells.length;
  }

  pin(slot: number): void {
    const entry = this.#slot(slot);
    if (entry.isPinned) throw new Error(`slot ${slot} is pinned already`);
    entry.isPinned = true;
    for (const cell of entry.cells) this.#pin(cell);
  }

  unpin(slot: number): void {
    const entry = this.#slot(slot);
    if (!entry.isPinned) throw new Error(`slot ${slot} is not pinned`);
    entry.isPinned = false;
    for (const cell of entry.cells) this.#unpin(cell);
  }

  /** The engine has computed `count` more positions of a slot. */
  append(slot: number, count: number): void {
    const entry = this.#slot(slot);
    for (let index = 0; index < count; index++) {
      const cell = this.#free.pop();
      if (cell === undefined) throw new Error('the engine stored more than its cells hold');
      this.#hold(entry, cell);
    }
  }

  copyPrefix(from: number, to: number, length: number): void {
    const source = this.#slot(from).cells;
    const target = this.#slot(to);
    if (target.cells.length > 0) throw new Error(`slot ${to} is not empty`);
    for (let position = 0; position < length; position++) this.#hold(target, source[position]!);
  }

  clear(slot: number): void {
    const entry = this.#slot(slot);
    for (const cell of entry.cells) {
      if (entry.isPinned) this.#unpin(cell);
      this.#holders[cell]! -= 1;
      if (this.#holders[cell] === 0) this.#free.push(cell);
    }
    entry.cells = [];
  }

  #hold(slot: Slot, cell: number): void {
    slot.cells.push(cell);
    this.#holders[cell]! += 1;
    if (slot.isPinned) this.#pin(cell);
  }

  #pin(cell: number): void {
    if (this.#pins[cell] === 0) this.#pinnedCells += 1;
    this.#pins[cell]! += 1;
  }

  #unpin(cell: number): void {
    this.#pins[cell]! -= 1;
    if (this.#pins[cell] === 0) this.#pinnedCells -= 1;
  }

  #slot(slot: number): Slot {
    const entry = this.#slots[slot];
    if (entry === undefined) throw new Error(`there is no slot ${slot}`);
    return entry;
  }
}

interface Slot {
  cells: number[];
  isPinned: boolean;
}
