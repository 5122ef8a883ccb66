/** Opens the shared libraries of one platform package. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import koffi, { type LibraryHandle } from 'koffi';

export interface Libraries {
  readonly folder: string;
  readonly ggmlBase: LibraryHandle;
  readonly ggml: LibraryHandle;
  readonly llama: LibraryHandle;
  /** The C runtime, for the few plain functions that serve as native callbacks. */
  readonly c: LibraryHandle;
}

/** File names such as `libggml-base.so`, `libllama.v0.4.0.so`, `ggml.dll`, `libllama.dylib`. */
const FILE_NAMES = {
  ggmlBase: /^(lib)?ggml-base(\.v[\d.]+)?\.(so|dylib|dll)$/,
  ggml: /^(lib)?ggml(\.v[\d.]+)?\.(so|dylib|dll)$/,
  llama: /^(lib)?llama(\.v[\d.]+)?\.(so|dylib|dll)$/,
};

/**
 * Opens the libraries in the order of their dependencies. Their symbols are made global, because the backends that
 * ggml opens later look theirs up there.
 * @throws {Error} with the loader's words when a file is missing or does not fit this machine
 */
export function openLibraries(folder: string): Libraries {
  const files = readdirSync(folder);
  const open = (pattern: RegExp): LibraryHandle => {
    const file = files.find((name) => pattern.test(name));
    if (file === undefined) throw new Error(`no file like ${pattern.source} in ${folder}`);
    return koffi.load(join(folder, file), { global: true, lazy: true });
  };
  return {
    folder,
    ggmlBase: open(FILE_NAMES.ggmlBase),
    ggml: open(FILE_NAMES.ggml),
    llama: open(FILE_NAMES.llama),
    c: koffi.load(process.platform === 'win32' ? 'ucrtbase.dll' : null),
  };
}
