/** Functions of ggml-backend.h: which devices there are, and functions that only one backend has. */
import koffi, { type LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';
import { viewOf } from './nativeMemory.js';

const EXTRA_BUFFER_TYPES_PROTOTYPE = koffi.proto(
  'intptr_t ggml_backend_dev_get_extra_bufts_function(intptr_t device)',
);

/** `enum ggml_backend_dev_type`. */
export const DEVICE_TYPE = { cpu: 0, gpu: 1, integratedGpu: 2, accelerator: 3 } as const;

export function deviceFunctions(declarations: Declarations, base: LibraryHandle, ggml: LibraryHandle) {
  const c = declarations.of(base);
  const registry = declarations.of(ggml);
  return {
    version: c<() => string>('const char* ggml_version()'),
    /** Opens every backend in the folder that this machine can use; of the CPU's variants only the best. */
    loadAll: registry<(folder: string) => void>('void ggml_backend_load_all_from_path(const char* folder)'),
    count: registry<() => number>('size_t ggml_backend_dev_count()'),
    get: registry<(index: number) => Address>('intptr_t ggml_backend_dev_get(size_t index)'),
    name: c<(device: Address) => string>('const char* ggml_backend_dev_name(intptr_t device)'),
    description: c<(device: Address) => string>('const char* ggml_backend_dev_description(intptr_t device)'),
    type: c<(device: Address) => number>('int ggml_backend_dev_type(intptr_t device)'),
    memory: c<(device: Address, free: [number], total: [number]) => void>(
      'void ggml_backend_dev_memory(intptr_t device, _Out_ size_t* free, _Out_ size_t* total)',
    ),
    registry: c<(device: Address) => Address>('intptr_t ggml_backend_dev_backend_reg(intptr_t device)'),
    function: c<(backendRegistry: Address, name: string) => Address>(
      'intptr_t ggml_backend_reg_get_proc_address(intptr_t registry, const char* name)',
    ),
  };
}

const BYTES_OF_POINTER = 8;

/** Kinds of memory in which this CPU keeps weights in a layout of its own, in the order of llama.cpp's preference. */
export function extraBufferTypes(functions: ReturnType<typeof deviceFunctions>, cpu: Address): Address[] {
  const list = functions.function(functions.registry(cpu), 'ggml_backend_dev_get_extra_bufts');
  if (list === 0) return [];
  const first = Number(koffi.call(BigInt(list), EXTRA_BUFFER_TYPES_PROTOTYPE, cpu));
  const found: Address[] = [];
  for (let at = first; first !== 0; at += BYTES_OF_POINTER) {
    const entry = Number(new BigUint64Array(viewOf(at, BYTES_OF_POINTER))[0]);
    if (entry === 0) break;
    found.push(entry);
  }
  return found;
}
