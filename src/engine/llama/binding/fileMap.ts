/** Files as memory: pages are read when they are touched, and shared with whoever else maps the file. */

import type { LibraryHandle } from 'koffi';
import type { Address } from './declarations.js';

export interface FileMap {
  readonly address: Address;
  readonly sizeBytes: number;
  /** Reads the pages of a range now, where the system can be told to. */
  populate(offset: number, sizeBytes: number): void;
  /**
   * Says that the pages of a range are not needed any more by this process: those that lie in it as a whole, for a page
   * that is needed after all comes back with many others.
   */
  release(offset: number, sizeBytes: number): void;
  unmap(): void;
}

const PROTECTION_READ = 1;
const MAP_SHARED = 1;
const ADVICE = { willNeed: 3, doNotNeed: 4, populateRead: 22 } as const;
/** Larger than the pages of every system that is supported; a range is widened to its multiples. */
const PAGE_BYTES = 65_536;
const LEAST_PAGE_BYTES = 4096;

export type MapFile = (descriptor: number, sizeBytes: number) => FileMap | null;

/** @returns null on Windows, and where the C library has no such functions: files must then be read */
export function fileMapper(c: LibraryHandle): MapFile | null {
  if (process.platform === 'win32') return null;
  const map = c.func(
    'intptr_t mmap(intptr_t address, size_t size, int protection, int flags, int descriptor, int64_t offset)',
  );
  const unmap = c.func('int munmap(intptr_t address, size_t size)');
  const advise = c.func('int madvise(intptr_t address, size_t size, int advice)');
  return (descriptor, sizeBytes) => {
    const address = Number(map(0, sizeBytes, PROTECTION_READ, MAP_SHARED, descriptor, 0));
    if (address <= 0) return null;
    const on = (offset: number, size: number, advice: number): boolean => {
      const from = Math.floor(offset / PAGE_BYTES) * PAGE_BYTES;
      return advise(address + from, Math.min(sizeBytes, offset + size) - from, advice) === 0;
    };
    return {
      address,
      sizeBytes,
      populate: (offset, size) => {
        // Older kernels, and macOS, only take the hint; the pages then come with the first step.
        if (process.platform === 'linux' && on(offset, size, ADVICE.populateRead)) return;
        on(offset, size, ADVICE.willNeed);
      },
      release: (offset, size) => {
        // Where pages are larger than the least, a range that is no multiple of them is refused.
        for (const page of [LEAST_PAGE_BYTES, PAGE_BYTES]) {
          const from = Math.ceil(offset / page) * page;
          const end = Math.floor((offset + size) / page) * page;
          if (from >= end || advise(address + from, end - from, ADVICE.doNotNeed) === 0) return;
        }
      },
      unmap: () => {
        unmap(address, sizeBytes);
      },
    };
  };
}
