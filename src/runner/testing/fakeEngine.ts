/**
 * An engine without a model, with the real rules: cells per sequence, shared prefixes, positions that must continue,
 * `no_room`, `aborted`, and checks of every index. Its logits are a hash of *all* the tokens of the row's sequence, so
 * that any mix-up of rows, sequences, positions or prefixes changes the tokens that come out.
 */
import type { Engine, EngineCapacity, StepInput, StepResult } from '../../engine/contract.js';
import { ShoalError } from '../../shared/errors.js';

export interface FakeEngineOptions extends Omit<EngineCapacity, 'outputRows'> {
  readonly vocabularySize: number;
  /** @default `sequences` */
  readonly outputRows?: number;
  /** @default true */
  readonly canTruncate?: boolean;
}

/** What goes wrong in a step; asked once for each step with the tokens of every sequence in it, new ones included. */
export type FakeTrouble = (histories: readonly (readonly number[])[]) => 'throw' | 'no_room' | null;

interface Cell {
  readonly token: number;
}

export class FakeEngine implements Engine {
  readonly shape;
  readonly capacity: EngineCapacity;
  readonly backends = ['FAKE'];
  readonly memoryBytes = 0;
  readonly canTruncate: boolean;
  readonly abortFlag = new Uint8Array(new SharedArrayBuffer(1));
  /** Tests set this to make steps fail. */
  trouble: FakeTrouble = () => null;
  /** Tokens whose sequences get NaN for logits. */
  readonly poisonTokens = new Set<number>();
  /** Rows of every step that was computed, and how many of them asked for logits. */
  readonly steps: { readonly rows: number; readonly outputs: number }[] = [];
  /** Steps that did not fit, without any trouble asked for. */
  steppedOver = 0;
  readonly #sequences: Cell[][];

  constructor(options: FakeEngineOptions) {
    this.capacity = { ...options, outputRows: options.outputRows ?? options.sequences };
    this.canTruncate = options.canTruncate ?? true;
    this.#sequences = Array.from({ length: options.sequences }, () => []);
    this.shape = {
      architecture: 'fake',
      firstLayer: 0,
      endLayer: 1,
      layerCount: 1,
      hiddenSize: 1,
      vocabularySize: options.vocabularySize,
      trainedContextTokens: 1_000_000,
    };
  }

  /** Cells that at least one sequence holds. */
  get usedCells(): number {
    return new Set(this.#sequences.flat()).size;
  }

  lengthOf(sequence: number): number {
    return this.#sequence(sequence).length;
  }

  step(input: StepInput): StepResult {
    const rows = input.sequences.length;
    const tokens = input.tokens;
    if (tokens === null || rows === 0 || rows > this.capacity.batchRows)
      throw misuse(`a step of ${rows} rows`);
    if ([tokens, input.positions, input.outputs].some((list) => list.length !== rows))
      throw misuse('uneven rows');
    if (this.abortFlag[0] === 1) return { kind: 'aborted' };
    const grown = new Map<number, Cell[]>();
    const logits: Float32Array[] = [];
    for (let row = 0; row < rows; row++) {
      const slot = input.sequences[row]!;
      const token = tokens[row]!;
      if (token < 0 || token >= this.shape.vocabularySize) throw misuse(`token ${token}`);
      const cells = grown.get(slot) ?? this.#sequence(slot).slice();
      if (input.positions[row] !== cells.length)
        throw misuse(`position ${input.positions[row]} of ${cells.length}`);
      cells.push({ token });
      grown.set(slot, cells);
      if (input.outputs[row] === 1) logits.push(this.#logits(cells));
    }
    if (logits.length > this.capacity.outputRows) throw misuse(`${logits.length} rows that ask for logits`);
    if (this.usedCells + rows > this.capacity.cells) {
      this.steppedOver += 1;
      return { kind: 'no_room' };
    }
    const trouble = this.trouble([...grown.values()].map((cells) => cells.map((cell) => cell.token)));
    if (trouble === 'throw') {
      // What a failed step leaves behind is not promised: here the rows of one sequence, or a lost state.
      const [slot, cells] = [...grown][0]!;
      this.#sequences[slot] = cells;
      if (!this.canTruncate) for (const lost of grown.keys()) this.#sequences[lost] = [];
      throw new ShoalError('engine_error', 'the fake engine was told to fail');
    }
    if (trouble === 'no_room') return { kind: 'no_room' };
    for (const [slot, cells] of grown) this.#sequences[slot] = cells;
    this.steps.push({ rows, outputs: logits.length });
    return { kind: 'logits', rows: logits };
  }

  copyPrefix(from: number, to: number, length: number): void {
    const source = this.#sequence(from);
    if (this.#sequence(to).length > 0) throw misuse(`a copy into sequence ${to}, which is not empty`);
    if (length > source.length || from === to) throw misuse(`a copy of ${length} of ${source.length} cells`);
    if (!this.canTruncate) throw misuse('a copy of a recurrent sequence');
    this.#sequences[to] = source.slice(0, length);
  }

  truncate(sequence: number, length: number): boolean {
    const cells = this.#sequence(sequence);
    if (length > cells.length)
      throw new ShoalError('engine_error', `the sequence has ${cells.length} cells, not ${length}`);
    if (!this.canTruncate && length > 0 && length < cells.length) return false;
    this.#sequences[sequence] = cells.slice(0, length);
    return true;
  }

  close(): void {
    for (const cells of this.#sequences) cells.length = 0;
  }

  #sequence(slot: number): Cell[] {
    const cells = this.#sequences[slot];
    if (cells === undefined) throw misuse(`sequence ${slot}`);
    return cells;
  }

  #logits(cells: readonly Cell[]): Float32Array {
    if (cells.some((cell) => this.poisonTokens.has(cell.token))) {
      return new Float32Array(this.shape.vocabularySize).fill(Number.NaN);
    }
    let state = 0x811c9dc5;
    for (const cell of cells) state = mix(state ^ (cell.token + 1));
    return Float32Array.from({ length: this.shape.vocabularySize }, (_, token) => {
      return (mix(state + Math.imul(token + 1, 0x9e3779b1)) / 2 ** 32) * 8;
    });
  }
}

/** Finaliser of MurmurHash3: spreads 32 bits over 32 bits. */
function mix(value: number): number {
  let hash = value;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}

function misuse(what: string): Error {
  return new Error(`the engine was misused: ${what}`);
}
