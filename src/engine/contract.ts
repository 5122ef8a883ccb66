/**
 * What computes a model, or a part of one. One `Engine` is one *shard*: the layers [firstLayer, endLayer) of a
 * model. The first shard takes tokens, all others take hidden states; the last gives logits, all others give
 * hidden states. A whole model is the shard [0, layerCount). Every implementation passes
 * test/engine/compliance.test.ts.
 *
 * Shards of one model are kept alike by doing the same to each of them, in the same order: the same rows with the same
 * positions, sequences and outputs in every step, the same `copyPrefix` and `truncate`. After a step that one of them
 * did not compute (`no_room`, `aborted`, an error), the others are truncated to where its sequences are.
 *
 * An engine is used by one thread, which it blocks while it computes. Only `requestAbort` on the shared flag may
 * come from elsewhere. Indices are checked before they reach native code: a bad one throws, it never aborts the
 * process.
 */

export interface ShardShape {
  readonly architecture: string;
  readonly firstLayer: number;
  readonly endLayer: number;
  /** Layers of the whole model. */
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly vocabularySize: number;
  /** Longest context that the model was trained for, in tokens. */
  readonly trainedContextTokens: number;
}

export interface EngineCapacity {
  /** Rows of one step. */
  readonly batchRows: number;
  /** Rows of one step that may ask for logits. */
  readonly outputRows: number;
  /** Sequence slots, numbered from 0. */
  readonly sequences: number;
  /** KV cells shared by all sequences: one for each position of each sequence; a copied prefix shares its cells. */
  readonly cells: number;
}

/** The rows of one step, of any mix of sequences. Rows of one sequence stand in order of position. */
export interface StepInput {
  /** `[rows]` token ids, for the first shard. */
  readonly tokens: Int32Array | null;
  /** `[rows, hiddenSize]` hidden states, for a later shard. */
  readonly hidden: Float32Array | null;
  /** `[rows]` position in its sequence; continues where the sequence's cells end. */
  readonly positions: Int32Array;
  /** `[rows]` sequence slot. */
  readonly sequences: Int32Array;
  /** `[rows]` 1 where the last shard shall give logits. */
  readonly outputs: Uint8Array;
}

export type StepResult =
  /** Logits of the rows that asked, in row order. A view is valid until the next step. */
  | { readonly kind: 'logits'; readonly rows: readonly Float32Array[] }
  /** `[rows, hiddenSize]`, valid until the next step. */
  | { readonly kind: 'hidden'; readonly hidden: Float32Array }
  /** A slice other than rank 0 has done its part: rank 0 gives the logits. */
  | { readonly kind: 'added' }
  /** No room in the KV cache for these rows; nothing has changed. */
  | { readonly kind: 'no_room' }
  /** The abort flag was set, of slices that of any rank; cells of this step's rows are removed again. */
  | { readonly kind: 'aborted' };

export interface Engine {
  readonly shape: ShardShape;
  readonly capacity: EngineCapacity;
  /** Names of the devices that compute. */
  readonly backends: readonly string[];
  /** Weights, KV cache and compute buffers, in bytes. */
  readonly memoryBytes: number;

  /** Computes one step. Throws a `ShoalError` (`engine_error`) when the native engine fails. */
  step(input: StepInput): StepResult;

  /** Gives the first `length` positions of `from` to the empty sequence `to`; the cells are shared, not copied. */
  copyPrefix(from: number, to: number, length: number): void;
  /** Drops the positions [length, ∞) of a sequence. False when this model cannot forget a part (recurrent). */
  truncate(sequence: number, length: number): boolean;
  /** Can a sequence be cut at any position? False for recurrent and hybrid models: no prefix reuse. */
  readonly canTruncate: boolean;

  /**
   * Its first byte: 1 makes the running and every later step end as `aborted`, until it is 0 again. Its `buffer` is a
   * SharedArrayBuffer: post that to another thread, which wraps it and sets the byte while this one computes.
   * Recurrent models (`canTruncate` is false) and GPUs finish the running step first.
   */
  readonly abortFlag: Uint8Array;

  /** Frees everything. The engine may not be used afterwards. Harmless when repeated. */
  close(): void;
}

/** Called while loading with the share done, 0 to 1. Returning false ends the load with `cancelled`. */
export type LoadProgress = (fraction: number) => boolean;

export interface EngineOptions {
  readonly modelPath: string;
  readonly batchRows: number;
  /**
   * Rows of one step that may ask for logits; each costs 4 bytes × vocabulary of memory.
   * @default `sequences`, which is also the least
   */
  readonly outputRows?: number;
  readonly sequences: number;
  readonly cells: number;
  readonly threads: number;
  /** How long idle compute threads spin before they sleep: 0 (never) to 100. @default 50 */
  readonly polling?: number;
  /** KV cache of f32 and plain attention: for tests of the arithmetic. @default false: f16 and flash attention */
  readonly exactAttention?: boolean;
  /** Layers to put on the GPU, when there is a backend for one. @default 0 */
  readonly gpuLayers?: number;
  readonly onProgress?: LoadProgress;
}

/**
 * Sums over the ranks of a model that is divided into tensor slices. Every rank makes the same sums in the same order
 * with buffers of the same length, because all of them compute the same steps.
 */
export interface SliceSums {
  /** Memory that sums can be made in, `length` floats, for as long as the engine is open. It never moves. */
  allocate(length: number): Float32Array;
  /**
   * Replaces the numbers of a part of that memory by their sums over all ranks, the same bits on every rank. Blocks the
   * thread. @throws {ShoalError} when a rank is lost; the step then fails with it, and is forgotten
   */
  sum(buffer: Float32Array): void;
}
