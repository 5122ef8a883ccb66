/** Functions of ggml-backend.h: which devices there are, and functions that only one backend has. */
import type { LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';

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
