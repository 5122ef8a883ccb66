/** The few things that the store asks of a disk, so that tests can put a disk in its place that loses power. */
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';

export interface StoreFile {
  /** Writes all bytes, or rejects; in that case some of them may have been written. */
  write(bytes: Buffer, position: number): Promise<void>;
  /** Resolves when what was written survives a power cut. */
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  close(): Promise<void>;
}

export interface StoreFiles {
  list(): Promise<string[]>;
  read(name: string): Promise<Buffer>;
  /** Opens for reading and writing; makes the file when there is none. */
  open(name: string): Promise<StoreFile>;
  /** In one step; an older file of the new name is replaced. */
  rename(from: string, to: string): Promise<void>;
  remove(name: string): Promise<void>;
  /** Resolves when the names in the folder survive a power cut. */
  syncFolder(): Promise<void>;
}

const PRIVATE_FOLDER = 0o700;
const PRIVATE_FILE = 0o600;

/** A folder of the real disk. */
export class FolderFiles implements StoreFiles {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async list(): Promise<string[]> {
    await mkdir(this.#folder, { recursive: true, mode: PRIVATE_FOLDER });
    return readdir(this.#folder);
  }

  read(name: string): Promise<Buffer> {
    return readFile(join(this.#folder, name));
  }

  async open(name: string): Promise<StoreFile> {
    // Without `a`: appending mode would ignore positions. Without `w`: it would empty the file.
    const path = join(this.#folder, name);
    const existing = open(path, 'r+');
    return new FolderFile(
      await existing.catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return open(path, 'wx+', PRIVATE_FILE);
        throw error;
      }),
    );
  }

  rename(from: string, to: string): Promise<void> {
    return rename(join(this.#folder, from), join(this.#folder, to));
  }

  remove(name: string): Promise<void> {
    return rm(join(this.#folder, name), { force: true });
  }

  async syncFolder(): Promise<void> {
    // Windows cannot open folders; it keeps names in its journal.
    if (process.platform === 'win32') return;
    const folder = await open(this.#folder, 'r');
    await folder.sync().finally(() => folder.close());
  }
}

class FolderFile implements StoreFile {
  readonly #handle: FileHandle;

  constructor(handle: FileHandle) {
    this.#handle = handle;
  }

  async write(bytes: Buffer, position: number): Promise<void> {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await this.#handle.write(bytes, done, bytes.length - done, position + done);
      done += bytesWritten;
    }
  }

  sync(): Promise<void> {
    return this.#handle.datasync();
  }

  truncate(length: number): Promise<void> {
    return this.#handle.truncate(length);
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}
