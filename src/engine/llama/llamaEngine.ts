/**
 * The `Engine` on libllama: a whole model of any architecture of llama.cpp that generates text, or a shard of one
 * (`shard/`), or a slice (`slice/`), which differ in how rows go in and come out.
 *
 * - One unified KV cache of f16 for all sequences; sliding-window layers keep all positions too (`swa_full`), so that
 *   sequences can be cut and copied at any position.
 * - Attention models compute a step as one graph. Recurrent and hybrid models may reorder rows inside; llama.cpp
 *   gives logits back in the order of the rows, so that callers need not know. Their state cannot be cut: they are
 *   not interrupted within a step, and lose the whole sequence when a step fails.
 * - What neighbours do leaves a sequence's numbers alone but for rounding: cells that are freed and used again change
 *   the order in which attention sums, and kernels for one row and for many round differently.
 */
import { ShoalError } from '../../shared/errors.js';
import type {
  Engine,
  EngineCapacity,
  EngineOptions,
  ShardShape,
  StepInput,
  StepResult,
} from '../contract.js';
import { DECODE_RESULT } from './binding/context.js';
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';
import { CellLedger } from './cellLedger.js';
import { createContext, type LlamaContext } from './createContext.js';
import { metadata, modelShape } from './modelFacts.js';
import { checkLength, checkSequence, checkStep, wrong } from './stepCheck.js';
import { type StepRows, TokensToLogits } from './stepRows.js';

const BYTES_OF_ABORT_FLAG = 8;

/** A failure like those that `llama_decode` returns: of the batches of one step, some found room and one did not. */
const HALF_COMPUTED = -100;

/** What makes a loaded model the engine of a shard. */
export interface ShardParts {
  readonly shape: ShardShape;
  readonly weightsBytes: number;
  /** The address of a callback for the nodes of a graph; 0 = none. */
  readonly nodeCallback: Address;
  /** Its rows see the abort flag, and end a step as `aborted` where all slices do; nothing else heeds the flag. */
  readonly rowsAbort?: boolean;
  rows(context: Address, abortFlag: Uint8Array): StepRows;
}

/** What comes with a loaded model. */
export interface ModelParts {
  /** Null for a whole model. */
  readonly shard: ShardParts | null;
  /** Called once, after the model has been freed. */
  free(): void;
}

const WHOLE_MODEL: ModelParts = { shard: null, free: () => undefined };

export class LlamaEngine implements Engine {
  readonly shape: ShardShape;
  readonly capacity: EngineCapacity;
  readonly backends: readonly string[];
  readonly memoryBytes: number;
  readonly canTruncate: boolean;
  readonly abortFlag = new Uint8Array(new SharedArrayBuffer(BYTES_OF_ABORT_FLAG));

  readonly #native: Native;
  readonly #model: Address;
  readonly #context: LlamaContext;
  readonly #rows: StepRows;
  readonly #ledger: CellLedger;
  readonly #parts: ModelParts;
  readonly #rowsAbort: boolean;
  readonly #closeListeners: (() => void)[] = [];
  #closed = false;

  /**
   * Takes over `model`: `close` frees it, and so does a constructor that throws.
   * @throws {ShoalError} `model_unsupported`, or `model_load_failed` when there is no memory for the context
   */
  constructor(native: Native, model: Address, options: EngineOptions, parts = WHOLE_MODEL) {
    this.#native = native;
    this.#model = model;
    this.#parts = parts;
    const { shard } = parts;
    this.#rowsAbort = shard?.rowsAbort === true;
    try {
      this.shape = shard?.shape ?? modelShape(native, model);
      this.canTruncate = canTruncate(native, model);
      this.#context = createContext(native, model, options, {
        abortFlag: this.canTruncate && !this.#rowsAbort ? this.abortFlag : null,
        nodeCallback: shard?.nodeCallback ?? 0,
      });
    } catch (error) {
      native.model.free(model);
      parts.free();
      throw error;
    }
    this.capacity = this.#context.capacity;
    this.memoryBytes = (shard?.weightsBytes ?? native.model.sizeBytes(model)) + this.#context.bytes;
    this.backends = backendNames(native, options.gpuLayers ?? 0);
    const { address } = this.#context;
    this.#rows =
      shard?.rows(address, this.abortFlag) ??
      new TokensToLogits(native, address, {
        rows: this.capacity.batchRows,
        vocabularySize: this.shape.vocabularySize,
      });
    this.#ledger = new CellLedger(this.capacity.sequences, this.capacity.cells);
  }

  step(input: StepInput): StepResult {
    this.#requireOpen();
    const plan = checkStep(input, this.capacity, this.shape, this.#ledger);
    if (this.abortFlag[0] !== 0 && !this.#rowsAbort) return { kind: 'aborted' };
    const rows = input.positions.length;
    if (rows > this.#ledger.freeCells) return { kind: 'no_room' };

    let result: number;
    try {
      result = this.#decode(input);
    } catch (error) {
      this.#forgetStep(plan.sequences);
      throw error;
    }
    switch (result) {
      case DECODE_RESULT.done: {
        const computed = this.#rows.result(plan.outputs);
        if (computed.kind === 'aborted') this.#forgetStep(plan.sequences);
        else for (const sequence of input.sequences) this.#ledger.append(sequence);
        return computed;
      }
      case DECODE_RESULT.noRoom:
        return { kind: 'no_room' };
      case DECODE_RESULT.aborted:
        this.#forgetStep(plan.sequences);
        return { kind: 'aborted' };
      default:
        this.#forgetStep(plan.sequences);
        throw new ShoalError(
          'engine_error',
          `llama.cpp could not compute a step of ${rows} rows (code ${result}).${this.canTruncate ? '' : ' The state of its sequences is lost.'}`,
        );
    }
  }

  copyPrefix(from: number, to: number, length: number): void {
    this.#requireOpen();
    checkSequence(from, this.capacity);
    checkSequence(to, this.capacity);
    checkLength(length, from, this.#ledger);
    if (!this.canTruncate) throw wrong(`a prefix of "${this.shape.architecture}" cannot be copied`);
    if (this.#ledger.length(to) !== 0) throw wrong(`sequence ${to} is not empty`);
    if (from === to || length === 0) return;
    this.#native.memory.copy(this.#context.memory, from, to, 0, length);
    this.#ledger.share(from, to, length);
  }

  truncate(sequence: number, length: number): boolean {
    this.#requireOpen();
    checkSequence(sequence, this.capacity);
    checkLength(length, sequence, this.#ledger);
    if (length === this.#ledger.length(sequence)) return true;
    if (length > 0 && !this.canTruncate) return false;
    if (!this.#native.memory.remove(this.#context.memory, sequence, length, -1)) return false;
    this.#ledger.truncate(sequence, length);
    return true;
  }

  /** Calls `listener` when the engine is closed, before anything is freed. */
  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const listener of this.#closeListeners) listener();
    this.#context.free();
    this.#native.model.free(this.#model);
    this.#rows.free();
    this.#parts.free();
  }

  #decode(input: StepInput): number {
    let computed = 0;
    for (const batch of this.#rows.batches(input)) {
      const result = this.#native.context.decode(this.#context.address, batch);
      if (result === DECODE_RESULT.noRoom && computed > 0) return HALF_COMPUTED;
      if (result !== DECODE_RESULT.done) return result;
      computed += 1;
    }
    return DECODE_RESULT.done;
  }

  /** After a step that did not succeed: what it may have left in the cache is removed. */
  #forgetStep(sequences: readonly number[]): void {
    for (const sequence of sequences) {
      const kept = this.canTruncate ? this.#ledger.length(sequence) : 0;
      this.#native.memory.remove(this.#context.memory, sequence, kept, -1);
      this.#ledger.truncate(sequence, kept);
    }
  }

  #requireOpen(): void {
    if (this.#closed) throw new ShoalError('engine_error', 'The engine is closed.');
  }
}

/** Architectures whose cache of attention holds summaries of positions, which cannot be taken back one by one. */
const SUMMARISING: ReadonlySet<string> = new Set(['deepseek4']);

function canTruncate(native: Native, model: Address): boolean {
  if (native.model.isRecurrent(model) || native.model.isHybrid(model)) return false;
  return !SUMMARISING.has(metadata(native, model, 'general.architecture') ?? '');
}

function backendNames(native: Native, gpuLayers: number): string[] {
  return native.devices.filter((device) => !device.isGpu || gpuLayers > 0).map((device) => device.name);
}
