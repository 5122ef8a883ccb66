/** Native callbacks: JavaScript functions for the time of one call, and plain C functions for everything else. */
import koffi, { type LibraryHandle } from 'koffi';
import type { Address } from './declarations.js';
import type { Libraries } from './libraries.js';

const PROGRESS_PROTOTYPE = koffi.proto('bool llama_progress_function(float progress, void* data)');
const TENSOR_PROTOTYPE = koffi.proto('void set_tensor_function(intptr_t tensor, intptr_t data)');
const NODE_PROTOTYPE = koffi.proto('bool node_function(intptr_t tensor, bool ask, intptr_t data)');
const LOG_PROTOTYPE = koffi.proto('void ggml_log_function(int level, const char* text, void* data)');

/**
 * C functions whose address serves as a callback, so that no JavaScript runs inside a computation (a JavaScript
 * callback from a thread other than its own would wait for an event loop that the computation blocks).
 */
export interface PlainCallbacks {
  /** `size_t strlen(const char*)`: as an abort callback it is true when the byte at its data is not zero. */
  readonly isByteSet: Address;
  /** `size_t llama_max_devices(void)`: takes whatever it is called with and does nothing. */
  readonly doNothing: Address;
  /** `int strcmp(const char*, const char*)`: 0 for equal texts. */
  compareTexts(one: Address, other: Address): number;
  /** `int memcmp(const void*, const void*, size_t)`: 0 for equal bytes. */
  compareBytes(one: Address, other: Address, sizeBytes: number): number;
  /** The address of an array's memory, which must not be moved or collected: of a SharedArrayBuffer that is held. */
  addressOf(array: Uint8Array): Address;
}

export function plainCallbacks(libraries: Libraries): PlainCallbacks {
  const moveMemory = libraries.c.func(
    'intptr_t memmove(const void* target, const void* source, size_t bytes)',
  );
  return {
    isByteSet: symbol(libraries.c, 'strlen'),
    doNothing: symbol(libraries.llama, 'llama_max_devices'),
    compareTexts: libraries.c.func('int strcmp(intptr_t one, intptr_t other)'),
    compareBytes: libraries.c.func('int memcmp(intptr_t one, intptr_t other, size_t bytes)'),
    addressOf: (array) => moveMemory(array, array, 0),
  };
}

function symbol(library: LibraryHandle, name: string): Address {
  return Number(koffi.address(library.symbol(name)));
}

/** Calls `use` with the address of a progress callback. What the callback throws is thrown after `use` has ended. */
export function withProgressCallback<Result>(
  onProgress: (fraction: number) => boolean,
  use: (callback: Address) => Result,
): Result {
  let thrown: { readonly error: unknown } | null = null;
  const guarded = (fraction: number): boolean => {
    try {
      return onProgress(fraction);
    } catch (error) {
      thrown = { error };
      return false;
    }
  };
  const callback = koffi.register(guarded, koffi.pointer(PROGRESS_PROTOTYPE));
  try {
    const result = use(Number(callback));
    if (thrown !== null) throw (thrown as { error: unknown }).error;
    return result;
  } finally {
    koffi.unregister(callback);
  }
}

/** Calls `use` with the address of a callback that is given tensors. What it throws is thrown after `use` has ended. */
export function withTensorCallback<Result>(
  onTensor: (tensor: Address) => void,
  use: (callback: Address) => Result,
): Result {
  let thrown: { readonly error: unknown } | null = null;
  const guarded = (tensor: Address): void => {
    if (thrown !== null) return;
    try {
      onTensor(tensor);
    } catch (error) {
      thrown = { error };
    }
  };
  const callback = koffi.register(guarded, koffi.pointer(TENSOR_PROTOTYPE));
  try {
    const result = use(Number(callback));
    if (thrown !== null) throw (thrown as { error: unknown }).error;
    return result;
  } finally {
    koffi.unregister(callback);
  }
}

export interface NodeCallback {
  readonly address: Address;
  free(): void;
}

/**
 * A callback for the nodes of a graph, in the thread that computes it: asked (`ask`) for each whether its value is
 * wanted, and called again when a wanted one has been computed; false then ends the graph. `onNode` may not throw.
 */
export function nodeCallback(onNode: (tensor: Address, ask: boolean) => boolean): NodeCallback {
  const callback = koffi.register(onNode, koffi.pointer(NODE_PROTOTYPE));
  return { address: Number(callback), free: () => koffi.unregister(callback) };
}

/** Calls `use` with the address of a log callback that hands each piece of text to `onText`. */
export function withLogCallback<Result>(
  onText: (level: number, text: string) => void,
  use: (callback: Address) => Result,
): Result {
  const callback = koffi.register(onText, koffi.pointer(LOG_PROTOTYPE));
  try {
    return use(Number(callback));
  } finally {
    koffi.unregister(callback);
  }
}
