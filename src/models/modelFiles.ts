/**
 * Finds GGUF files in folders: recursive, bounded in depth and number, safe against loops of symbolic links. What
 * cannot be read is reported, never passed over in silence.
 */
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LIMITS } from '../shared/limits.js';

export interface FoundFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface Unreadable {
  readonly path: string;
  readonly reason: string;
}

export interface FoundFiles {
  readonly files: readonly FoundFile[];
  readonly unreadable: readonly Unreadable[];
}

/** Files in order of path; the same file reached twice is there once, under the first path. */
export async function findModelFiles(folders: readonly string[]): Promise<FoundFiles> {
  const search = new Search();
  for (const folder of folders) await search.visitFolder(folder, 0);
  return search;
}

class Search implements FoundFiles {
  readonly files: FoundFile[] = [];
  readonly unreadable: Unreadable[] = [];
  readonly #seen = new Set<string>();
  #entries = 0;

  async visitFolder(folder: string, depth: number): Promise<void> {
    if (depth > LIMITS.modelFolderDepth) {
      this.#refuse(folder, `It lies more than ${LIMITS.modelFolderDepth} folders deep.`);
      return;
    }
    try {
      if (!(await this.#isNew(folder))) return;
      const names = (await readdir(folder)).sort();
      for (const name of names) {
        this.#entries += 1;
        if (this.#entries > LIMITS.modelFolderEntries) {
          this.#refuse(
            folder,
            `There are more than ${LIMITS.modelFolderEntries} entries; the rest is left out.`,
          );
          return;
        }
        await this.#visitEntry(join(folder, name), name, depth);
      }
    } catch (error) {
      this.#refuse(folder, `It cannot be read: ${codeOf(error)}.`);
    }
  }

  async #visitEntry(path: string, name: string, depth: number): Promise<void> {
    const isModelName = name.toLowerCase().endsWith('.gguf');
    try {
      const entry = await stat(path);
      if (entry.isDirectory()) await this.visitFolder(path, depth + 1);
      else if (isModelName && entry.isFile() && (await this.#isNew(path))) {
        this.files.push({ path, sizeBytes: entry.size, modifiedMs: entry.mtimeMs });
      }
    } catch (error) {
      // Other entries that cannot be looked at, such as dangling links, are nobody's models.
      if (isModelName) this.#refuse(path, `It cannot be read: ${codeOf(error)}.`);
    }
  }

  async #isNew(path: string): Promise<boolean> {
    const real = await realpath(path);
    if (this.#seen.has(real)) return false;
    this.#seen.add(real);
    return true;
  }

  #refuse(path: string, reason: string): void {
    this.unreadable.push({ path, reason });
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
