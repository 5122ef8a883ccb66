/**
 * A disk in memory with the manners of a real one: what is not synced may be lost in a power cut, in part, with rubbish
 * where it was being written; names are kept apart from contents and are durable only after a sync of their folder.
 */
import type { StoreFile, StoreFiles } from '../storeFiles.js';

interface Write {
  readonly position: number;
  /** Null = cut off at the position. */
  readonly bytes: Buffer | null;
}

class Content {
  synced: Buffer = Buffer.alloc(0);
  unsynced: Write[] = [];

  now(writes: readonly Write[] = this.unsynced): Buffer {
    return writes.reduce((content, { position, bytes }) => {
      const head = Buffer.alloc(
        bytes === null ? position : Math.max(content.length, position + bytes.length),
      );
      content.copy(head);
      bytes?.copy(head, position);
      return head;
    }, this.synced);
  }
}

type NameChange = (names: Map<string, Content>) => void;

/** Draws an integer from 0 to `below - 1`. */
export type Draw = (below: number) => number;

export class SimulatedDisk implements StoreFiles {
  #names = new Map<string, Content>();
  #syncedNames = new Map<string, Content>();
  #nameChanges: NameChange[] = [];
  #operationsLeft = Number.POSITIVE_INFINITY;
  #failing: { operations: number; code: string } = { operations: 0, code: '' };
  #lives = 0;
  /** When set, nothing answers until it resolves. */
  frozen: Promise<void> | null = null;
  operations = 0;

  /** So many operations still work; then the power is cut, and each later one rejects. */
  cutPowerAfter(operations: number): void {
    this.#operationsLeft = operations;
  }

  /** The next operations that change something reject, half done where they can be. */
  failNext(operations: number, code = 'ENOSPC'): void {
    this.#failing = { operations, code };
  }

  /** Power is back: what remains is decided by the draws. Files that were open before are of no use any more. */
  restart(draw: Draw): void {
    const kept = this.#nameChanges.slice(0, draw(this.#nameChanges.length + 1));
    for (const change of kept) change(this.#syncedNames);
    for (const content of new Set([...this.#syncedNames.values()])) {
      const writes = content.unsynced.slice(0, draw(content.unsynced.length + 1));
      const torn = content.unsynced[writes.length];
      if (torn?.bytes && draw(2) === 1) writes.push(tear(torn.position, torn.bytes, draw));
      content.synced = content.now(writes);
      content.unsynced = [];
    }
    this.#names = new Map(this.#syncedNames);
    this.#nameChanges = [];
    this.#operationsLeft = Number.POSITIVE_INFINITY;
    this.#failing = { operations: 0, code: '' };
    this.#lives += 1;
  }

  contents(): Map<string, Buffer> {
    return new Map([...this.#names].map(([name, content]) => [name, content.now()]));
  }

  /** Puts a file there, durably. */
  put(name: string, bytes: Buffer): void {
    const content = new Content();
    content.synced = Buffer.from(bytes);
    this.#names.set(name, content);
    this.#syncedNames.set(name, content);
  }

  async list(): Promise<string[]> {
    await this.#operate();
    return [...this.#names.keys()];
  }

  async read(name: string): Promise<Buffer> {
    await this.#operate();
    const content = this.#names.get(name);
    if (content === undefined) throw Object.assign(new Error(`ENOENT: ${name}`), { code: 'ENOENT' });
    return Buffer.from(content.now());
  }

  async open(name: string): Promise<StoreFile> {
    await this.#operate();
    let content = this.#names.get(name);
    if (content === undefined) {
      const made = new Content();
      this.#rename((names) => names.set(name, made));
      content = made;
    }
    return this.#file(content, this.#lives);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#operate();
    this.#mayFail();
    const content = this.#names.get(from);
    if (content === undefined) throw Object.assign(new Error(`ENOENT: ${from}`), { code: 'ENOENT' });
    this.#rename((names) => {
      names.delete(from);
      names.set(to, content);
    });
  }

  async remove(name: string): Promise<void> {
    await this.#operate();
    this.#rename((names) => names.delete(name));
  }

  async syncFolder(): Promise<void> {
    await this.#operate();
    this.#mayFail();
    for (const change of this.#nameChanges) change(this.#syncedNames);
    this.#nameChanges = [];
  }

  #file(content: Content, life: number): StoreFile {
    const operate = async () => {
      await this.#operate();
      if (life !== this.#lives) throw new Error('the file was opened before the power cut');
    };
    return {
      write: async (bytes, position) => {
        await operate();
        const copy = Buffer.from(bytes);
        content.unsynced.push({
          position,
          bytes: this.#isFailing() ? copy.subarray(0, copy.length >> 1) : copy,
        });
        this.#mayFail();
      },
      sync: async () => {
        const writes = [...content.unsynced];
        await operate();
        this.#mayFail();
        content.synced = content.now(writes);
        content.unsynced = content.unsynced.slice(writes.length);
      },
      truncate: async (length) => {
        await operate();
        this.#mayFail();
        content.unsynced.push({ position: length, bytes: null });
      },
      close: operate,
    };
  }

  #rename(change: NameChange): void {
    change(this.#names);
    this.#nameChanges.push(change);
  }

  async #operate(): Promise<void> {
    await (this.frozen ?? Promise.resolve());
    this.operations += 1;
    if (this.#operationsLeft === 0) throw new Error('the power is cut');
    this.#operationsLeft -= 1;
  }

  #isFailing(): boolean {
    return this.#failing.operations > 0;
  }

  #mayFail(): void {
    if (!this.#isFailing()) return;
    this.#failing.operations -= 1;
    const { code } = this.#failing;
    throw Object.assign(new Error(`${code}: the disk refuses`), { code });
  }
}

function tear(position: number, bytes: Buffer, draw: Draw): Write {
  const length = draw(bytes.length + 1);
  const torn = Buffer.from(bytes.subarray(0, length));
  // Blocks that were allocated and never written read as zeros; others hold what was there before. It is no text: a
  // single letter of rubbish just behind the name of the format would be taken for a newer version of it.
  if (draw(3) === 0 && length > 0) torn.fill(draw(2) * (128 + draw(128)), draw(length));
  return { position, bytes: torn };
}
