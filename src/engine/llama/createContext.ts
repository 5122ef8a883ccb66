/** Creates the context of a model: KV cache, compute buffers and thread pool. */
import { ShoalError } from '../../shared/errors.js';
import type { EngineCapacity, EngineOptions } from '../contract.js';
import type { Address } from './binding/declarations.js';
import type { Native } from './binding/native.js';
import { MAXIMUM_SEQUENCES } from './binding/pins.js';
import { type ContextParameters, FLASH_ATTENTION, GGML_TYPE_F16, GGML_TYPE_F32 } from './binding/structs.js';
import { measureGrowth } from './memoryMeter.js';
import { leaseThreadPool } from './sharedThreadPool.js';

export interface LlamaContext {
  readonly address: Address;
  readonly memory: Address;
  readonly capacity: EngineCapacity;
  /** KV cache and compute buffers. */
  readonly bytes: number;
  free(): void;
}

/** How long idle threads of the pool spin before they sleep, 0 to 100: ggml's own default. */
const DEFAULT_POLLING = 50;

export interface ContextCallbacks {
  /** A shared byte that ends a running step when it is not 0; null = steps are not interrupted. */
  readonly abortFlag: Uint8Array | null;
  /** The address of a callback for the nodes of each graph; 0 = none. */
  readonly nodeCallback: Address;
}

/**
 * @throws {ShoalError} `invalid_request` for a size that is out of range, `model_load_failed` when llama.cpp cannot
 *   create the context, `model_unsupported` for a model without a KV cache or recurrent state
 */
export function createContext(
  native: Native,
  model: Address,
  options: EngineOptions,
  { abortFlag, nodeCallback }: ContextCallbacks,
): LlamaContext {
  checkSizes(options);
  // Fewer than there are sequences is a failed assertion.
  const outputRows = Math.max(options.outputRows ?? 0, options.sequences);
  // Flash attention rounds an f32 cache to f16 again.
  const exact = options.exactAttention === true;
  const cacheType = exact ? GGML_TYPE_F32 : GGML_TYPE_F16;
  const parameters: ContextParameters = {
    ...native.context.defaultParameters(),
    n_ctx: options.cells,
    // A step is one graph: it is aborted, and its cells are removed, as a whole.
    n_batch: options.batchRows,
    n_ubatch: options.batchRows,
    n_seq_max: options.sequences,
    n_outputs_max: outputRows,
    n_threads: options.threads,
    n_threads_batch: options.threads,
    flash_attn_type: exact ? FLASH_ATTENTION.off : FLASH_ATTENTION.auto,
    type_k: cacheType,
    type_v: cacheType,
    cb_eval: nodeCallback,
    abort_callback: abortFlag === null ? 0 : native.plain.isByteSet,
    abort_callback_data: abortFlag === null ? 0 : native.plain.addressOf(abortFlag),
    offload_kqv: (options.gpuLayers ?? 0) > 0,
    op_offload: (options.gpuLayers ?? 0) > 0,
    no_perf: true,
    swa_full: true,
    kv_unified: true,
  };
  const { result: created, bytes } = measureGrowth(native, () =>
    native.log.keepLog(() => native.context.create(model, parameters)),
  );
  const address = created.result;
  if (address === 0) {
    throw new ShoalError(
      'model_load_failed',
      `There is no context of ${options.cells} cells for this model. ${created.lines.join('\n')}`.trim(),
    );
  }
  const memory = native.memory.of(address);
  if (memory === 0) {
    native.context.free(address);
    throw new ShoalError(
      'model_unsupported',
      'This model keeps no memory of what it has read: it is an encoder.',
    );
  }
  const pool = leaseThreadPool(native, options.threads, options.polling ?? DEFAULT_POLLING);
  if (pool !== null) native.context.attachThreadPool(address, pool.address, pool.address);
  return {
    address,
    memory,
    bytes,
    capacity: {
      batchRows: native.context.batchRows(address),
      outputRows: Math.min(outputRows, options.batchRows),
      sequences: options.sequences,
      cells: options.cells,
    },
    free: () => {
      native.context.free(address);
      pool?.release();
    },
  };
}

/** Native code ends the process, or takes all memory, when one of these is absurd. */
function checkSizes(options: EngineOptions): void {
  const ranges: readonly (readonly [string, number, number])[] = [
    ['batchRows', options.batchRows, MAXIMUM_ROWS],
    ['sequences', options.sequences, MAXIMUM_SEQUENCES],
    ['cells', options.cells, MAXIMUM_CELLS],
    ['threads', options.threads, MAXIMUM_THREADS],
    ['outputRows', options.outputRows ?? 1, MAXIMUM_ROWS],
  ];
  for (const [name, value, maximum] of ranges) {
    if (Number.isInteger(value) && value >= 1 && value <= maximum) continue;
    throw new ShoalError('invalid_request', `${name} is ${value}, and must be from 1 to ${maximum}.`, {
      param: name,
    });
  }
}

const MAXIMUM_ROWS = 65_536;
const MAXIMUM_CELLS = 2 ** 28;
/** `GGML_MAX_N_THREADS` */
const MAXIMUM_THREADS = 512;
