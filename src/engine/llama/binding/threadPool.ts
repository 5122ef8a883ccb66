/**
 * The CPU backend's persistent thread pool. Without one, ggml starts and ends its threads for each graph, which costs
 * more than the smallest graphs themselves.
 */
import koffi, { type LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';
import type { Devices } from './native.js';

/**
 * `struct ggml_threadpool_params`: a mask of 512 processors, the number of threads, their priority, the polling
 * level, two flags. It is passed by address, and filled by the library before two fields are changed.
 */
const PARAMETERS_BYTES = 1024;
const THREADS_OFFSET = 512;
const POLLING_OFFSET = 520;
const DEFAULT_POLLING = 50;

export function threadPoolFunctions(declarations: Declarations, base: LibraryHandle) {
  const c = declarations.of(base);
  return {
    initParameters: c<(parameters: Uint8Array, threads: number) => void>(
      'void ggml_threadpool_params_init(_Out_ uint8_t* parameters, int threads)',
    ),
  };
}

export interface ThreadPool {
  readonly address: Address;
  /** Ends the threads. No context may be attached any more. */
  free(): void;
}

/**
 * @param polling how long an idle thread spins before it sleeps: 0 (never) to 100 (long)
 * @returns null when the backend of this device has no thread pools
 */
export function createThreadPool(
  functions: ReturnType<typeof threadPoolFunctions>,
  devices: Devices,
  cpu: Address,
  threads: number,
  polling: number,
): ThreadPool | null {
  const registry = devices.registry(cpu);
  const create = devices.function(registry, 'ggml_threadpool_new');
  const free = devices.function(registry, 'ggml_threadpool_free');
  if (create === 0 || free === 0) return null;

  const parameters = Buffer.alloc(PARAMETERS_BYTES);
  functions.initParameters(parameters, threads);
  if (parameters.readInt32LE(THREADS_OFFSET) !== threads) return null;
  if (parameters.readUInt32LE(POLLING_OFFSET) !== DEFAULT_POLLING) return null;
  parameters.writeUInt32LE(polling, POLLING_OFFSET);

  const address = Number(koffi.call(BigInt(create), CREATE_PROTOTYPE, parameters));
  if (address === 0) return null;
  return {
    address,
    free: () => {
      koffi.call(BigInt(free), FREE_PROTOTYPE, address);
    },
  };
}

const CREATE_PROTOTYPE = koffi.proto('intptr_t ggml_threadpool_new_function(uint8_t* parameters)');
const FREE_PROTOTYPE = koffi.proto('void ggml_threadpool_free_function(intptr_t pool)');
