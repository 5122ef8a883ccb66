/**
 * Reads what a store kept: the newest whole snapshot, then the records behind it as far as they are whole. Nothing is
 * guessed: a record counts only when everything before it does.
 */
import { ShoalError } from '../../shared/errors.js';
import type { OnNotice } from '../link/notices.js';
import type { IndexedRecord } from './contract.js';
import {
  DROPPED_FILE,
  findGenerations,
  type GenerationHeader,
  isHeader,
  type LogEntry,
  logName,
  snapshotName,
} from './generations.js';
import { readFrames, readMark } from './sealedFrames.js';
import type { StoreFiles } from './storeFiles.js';

export interface LoadedLog {
  readonly position: number;
  readonly snapshot: unknown;
  readonly records: readonly IndexedRecord[];
  readonly meta: unknown;
  /** The log to go on with: everything past `goodBytes` of it is to be cut off; 0 = it has yet to be begun. */
  readonly generation: number;
  readonly goodBytes: number;
  readonly newestGeneration: number;
  /** Something was damaged: a fresh snapshot would make the store whole again. */
  readonly isDamaged: boolean;
}

/** @throws {ShoalError} `storage_failed` when a newer version of the program wrote a file */
export async function loadLog(files: StoreFiles, notify: OnNotice): Promise<LoadedLog> {
  const { whole, newest, leftovers } = findGenerations(await files.list());
  for (const name of leftovers) await files.remove(name);
  const reading = new Reading(files, notify);
  const base = await reading.readBase(whole);
  const after = whole.filter((generation) => generation >= base).sort((a, b) => a - b);
  await reading.readLogs(base, after);
  return { ...reading.result(base), newestGeneration: newest };
}

class Reading {
  readonly #files: StoreFiles;
  readonly #notify: OnNotice;
  #position = 0;
  #snapshot: unknown = null;
  #records: IndexedRecord[] = [];
  #meta: unknown = null;
  #active: { readonly generation: number; readonly goodBytes: number } | null = null;
  #isDamaged = false;

  constructor(files: StoreFiles, notify: OnNotice) {
    this.#files = files;
    this.#notify = notify;
  }

  result(base: number): Omit<LoadedLog, 'newestGeneration'> {
    return {
      position: this.#position,
      snapshot: this.#snapshot,
      records: this.#records,
      meta: this.#meta,
      ...(this.#active ?? { generation: base, goodBytes: 0 }),
      isDamaged: this.#isDamaged,
    };
  }

  /** Takes the newest snapshot that is whole, and returns its generation. */
  async readBase(whole: readonly number[]): Promise<number> {
    const oldest = whole.at(-1) ?? 1;
    for (const generation of whole) {
      const bytes = await this.#readFile(snapshotName(generation));
      if (bytes === null) {
        // Only the first generation goes without.
        if (generation === oldest) return generation;
        continue;
      }
      const { values } = await readFrames(bytes);
      const [header, snapshot] = values;
      if (isHeader(header) && values.length === 2) {
        this.#position = header.position;
        this.#meta = header.meta;
        this.#snapshot = snapshot;
        return generation;
      }
      this.#damaged(snapshotName(generation), 'the snapshot is not whole', bytes.length);
    }
    return oldest;
  }

  /** Reads the logs behind the base, each as far as it is whole and goes on from the one before. */
  async readLogs(base: number, generations: readonly number[]): Promise<void> {
    for (const [place, generation] of generations.entries()) {
      const bytes = await this.#readFile(logName(generation));
      const isWhole = bytes === null ? false : await this.#readLog(generation, base, bytes);
      const skipped = generations.slice(place + 1);
      if (isWhole || skipped.length === 0) continue;
      this.#damaged(logName(generation), `generations ${skipped.join(', ')} do not go on from here`, 0);
      return;
    }
  }

  /** @returns whether it was whole to its end */
  async #readLog(generation: number, base: number, bytes: Buffer): Promise<boolean> {
    const { values, ends, goodBytes } = await readFrames(bytes);
    const [header, ...entries] = values;
    if (!isHeader(header) || !this.#goesOn(header, generation === base)) {
      if (bytes.length > 0) await this.#drop(generation, bytes, 0);
      return false;
    }
    this.#meta = header.meta;
    const taken = entries.findIndex((entry) => !this.#take(entry));
    const good = taken === -1 ? goodBytes : (ends[taken] as number);
    this.#active = { generation, goodBytes: good };
    if (good === bytes.length) return true;
    await this.#drop(generation, bytes, good);
    return false;
  }

  #goesOn(header: GenerationHeader, isBase: boolean): boolean {
    if (isBase) return header.position === this.#position;
    return header.goesOn && header.position >= this.#position && header.position <= this.#lastIndex;
  }

  get #lastIndex(): number {
    return this.#records.at(-1)?.index ?? this.#position;
  }

  #take(entry: unknown): boolean {
    if (!Array.isArray(entry)) return false;
    const [kind, value] = entry as unknown as LogEntry;
    if (kind === 'meta') {
      this.#meta = value;
      return true;
    }
    const index = (value as Partial<IndexedRecord> | null)?.index;
    if (typeof index !== 'number' || index <= this.#position || index > this.#lastIndex + 1) return false;
    this.#records.length = index - this.#position - 1;
    this.#records.push(value as IndexedRecord);
    return true;
  }

  async #drop(generation: number, bytes: Buffer, good: number): Promise<void> {
    const dropped = bytes.subarray(good);
    this.#damaged(logName(generation), 'its end is torn or damaged', dropped.length);
    try {
      const file = await this.#files.open(DROPPED_FILE);
      await file
        .truncate(0)
        .then(() => file.write(dropped, 0))
        .finally(() => file.close());
    } catch (error) {
      const reason = (error as Error).message;
      this.#notify('warn', `The dropped end of the control log could not be kept: ${reason}`, {
        code: 'storage_failed',
      });
    }
  }

  #damaged(file: string, what: string, droppedBytes: number): void {
    this.#isDamaged = true;
    const kept = `kept is the state up to index ${this.#lastIndex}`;
    this.#notify('warn', `The control log was not closed in order (${file}: ${what}); ${kept}.`, {
      code: 'storage_failed',
      file,
      dropped_bytes: droppedBytes,
    });
  }

  /** @returns null when there is no such file, or nothing of ours in it */
  async #readFile(name: string): Promise<Buffer | null> {
    let bytes: Buffer;
    try {
      bytes = await this.#files.read(name);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
    switch (readMark(bytes)) {
      case 'ours':
        return bytes;
      case 'newer':
        throw new ShoalError(
          'storage_failed',
          `${name} was written by a newer version of Shoal: update this one`,
        );
      case 'damaged':
        this.#damaged(name, 'its beginning is not ours', bytes.length);
        return null;
    }
  }
}
