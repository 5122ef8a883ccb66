/** A disk that fails when a test asks for it: `store.torn_write`, `store.disk_full`. Used only with `--failpoints`. */
import type { Failpoint } from '../../shared/failpoints.js';
import type { StoreFile, StoreFiles } from './storeFiles.js';

export class FailpointFiles implements StoreFiles {
  readonly #files: StoreFiles;
  readonly #die: () => void;
  #isTearing = false;
  /** Clock of `performance.now()` until which the disk is full. */
  #fullUntil = 0;

  /** @param die ends the process in the middle of a torn write */
  constructor(files: StoreFiles, die: () => void = () => process.kill(process.pid, 'SIGKILL')) {
    this.#files = files;
    this.#die = die;
  }

  /** @returns whether the failpoint is one of the store's */
  trigger({ name, arg }: Failpoint): boolean {
    if (name === 'store.torn_write') {
      this.#isTearing = true;
      return true;
    }
    if (name !== 'store.disk_full') return false;
    const forMs = arg === null ? Number.POSITIVE_INFINITY : Number(arg);
    this.#fullUntil = performance.now() + forMs;
    return true;
  }

  list(): Promise<string[]> {
    return this.#files.list();
  }

  read(name: string): Promise<Buffer> {
    return this.#files.read(name);
  }

  async open(name: string): Promise<StoreFile> {
    const file = await this.#files.open(name);
    return {
      write: (bytes, position) => this.#write(file, bytes, position),
      sync: () => file.sync(),
      truncate: (length) => file.truncate(length),
      close: () => file.close(),
    };
  }

  rename(from: string, to: string): Promise<void> {
    return this.#files.rename(from, to);
  }

  remove(name: string): Promise<void> {
    return this.#files.remove(name);
  }

  syncFolder(): Promise<void> {
    return this.#files.syncFolder();
  }

  async #write(file: StoreFile, bytes: Buffer, position: number): Promise<void> {
    if (performance.now() < this.#fullUntil) {
      throw Object.assign(new Error('ENOSPC: no space left on device, write (failpoint)'), {
        code: 'ENOSPC',
      });
    }
    if (this.#isTearing && bytes.length > 0) {
      this.#isTearing = false;
      await file.write(bytes.subarray(0, bytes.length >> 1), position);
      await file.sync();
      this.#die();
    }
    await file.write(bytes, position);
  }
}
