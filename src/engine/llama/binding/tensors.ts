/** Functions of ggml.h and ggml-backend.h on tensors, their buffers, and what a device can compute on them. */
import type { LibraryHandle } from 'koffi';
import type { Address, Declarations } from './declarations.js';
import { viewOf } from './nativeMemory.js';
import type { TensorArenaParameters } from './structs.js';

export function tensorFunctions(declarations: Declarations, base: LibraryHandle) {
  const c = declarations.of(base);
  return {
    name: c<(tensor: Address) => string>('const char* ggml_get_name(intptr_t tensor)'),
    nameAddress: c<(tensor: Address) => Address>('intptr_t ggml_get_name(intptr_t tensor)'),
    data: c<(tensor: Address) => Address>('intptr_t ggml_get_data(intptr_t tensor)'),
    sizeBytes: c<(tensor: Address) => number>('size_t ggml_nbytes(intptr_t tensor)'),
    set: c<(tensor: Address, data: Address, offset: number, sizeBytes: number) => void>(
      'void ggml_backend_tensor_set(intptr_t tensor, intptr_t data, size_t offset, size_t size)',
    ),
    setBytes: c<(tensor: Address, data: Uint8Array, offset: number, sizeBytes: number) => void>(
      'void ggml_backend_tensor_set(intptr_t tensor, const uint8_t* data, size_t offset, size_t size)',
    ),
    get: c<(tensor: Address, data: Address, offset: number, sizeBytes: number) => void>(
      'void ggml_backend_tensor_get(intptr_t tensor, intptr_t data, size_t offset, size_t size)',
    ),
    bufferType: c<(buffer: Address) => Address>('intptr_t ggml_backend_buffer_get_type(intptr_t buffer)'),
    cpuBufferType: c<() => Address>('intptr_t ggml_backend_cpu_buffer_type()'),
    typeTraits: c<(type: number) => Address>('intptr_t ggml_get_type_traits(int type)'),

    createArena: c<(parameters: TensorArenaParameters) => Address>(
      'intptr_t ggml_init(ggml_init_params parameters)',
    ),
    freeArena: c<(arena: Address) => void>('void ggml_free(intptr_t arena)'),
    create: c<(arena: Address, type: number, dimensions: number, sizes: BigInt64Array) => Address>(
      'intptr_t ggml_new_tensor(intptr_t arena, int type, int dimensions, const int64_t* sizes)',
    ),
    multiply: c<(arena: Address, weight: Address, rows: Address) => Address>(
      'intptr_t ggml_mul_mat(intptr_t arena, intptr_t weight, intptr_t rows)',
    ),
    multiplyChosen: c<(arena: Address, weights: Address, rows: Address, ids: Address) => Address>(
      'intptr_t ggml_mul_mat_id(intptr_t arena, intptr_t weights, intptr_t rows, intptr_t ids)',
    ),
    allocateBuffer: c<(bufferType: Address, sizeBytes: number) => Address>(
      'intptr_t ggml_backend_buft_alloc_buffer(intptr_t bufferType, size_t size)',
    ),
    allocatedBytes: c<(bufferType: Address, tensor: Address) => number>(
      'size_t ggml_backend_buft_get_alloc_size(intptr_t bufferType, intptr_t tensor)',
    ),
    bufferBase: c<(buffer: Address) => Address>('intptr_t ggml_backend_buffer_get_base(intptr_t buffer)'),
    freeBuffer: c<(buffer: Address) => void>('void ggml_backend_buffer_free(intptr_t buffer)'),
    place: c<(buffer: Address, tensor: Address, address: Address) => number>(
      'int ggml_backend_tensor_alloc(intptr_t buffer, intptr_t tensor, intptr_t address)',
    ),
    supportsOperation: c<(device: Address, operation: Address) => boolean>(
      'bool ggml_backend_dev_supports_op(intptr_t device, intptr_t operation)',
    ),
  };
}

type TensorFunctions = ReturnType<typeof tensorFunctions>;

/** Places in `struct ggml_tensor` of the pinned release, in bytes. Nothing else of it is read or written directly. */
const BUFFER_OFFSET = 8;
/** The first of the tensors that a node of a graph is computed from: of a product the matrix. */
export const FIRST_SOURCE_OFFSET = 152;
const DATA_OFFSET = 248;
const NAME_OFFSET = 256;
const BYTES_OF_POINTER = 8;

/**
 * Lets a tensor of plain CPU memory have its data at `address`, instead of in the buffer that was allocated for it,
 * whose pages are then never touched.
 * @returns false, and nothing has happened, where the tensor is in other memory or laid out unexpectedly
 */
export function pointTensorAt(functions: TensorFunctions, tensor: Address, address: Address): boolean {
  // The name stands in the struct, right behind the data: both where they should be leaves no doubt.
  if (functions.nameAddress(tensor) !== tensor + NAME_OFFSET) return false;
  const data = pointerAt(tensor + DATA_OFFSET);
  if (Number(data[0]) !== functions.data(tensor)) return false;
  const buffer = Number(pointerAt(tensor + BUFFER_OFFSET)[0]);
  if (buffer === 0 || functions.bufferType(buffer) !== functions.cpuBufferType()) return false;
  data[0] = BigInt(address);
  return functions.data(tensor) === address;
}

function pointerAt(address: Address): BigUint64Array {
  return new BigUint64Array(viewOf(address, BYTES_OF_POINTER));
}
