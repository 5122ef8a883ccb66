/** Writes pending changes into the files of the present generation, or begins the next one. */

import { LIMITS } from '../../shared/limits.js';
import type { OnNotice } from '../link/notices.js';
import { draftName, type GenerationHeader, logName, snapshotName } from './generations.js';
import type { LoadedLog } from './loadLog.js';
import type { PendingChanges, PendingSnapshot } from './pendingChanges.js';
import { FILE_MARK, sealFrame } from './sealedFrames.js';
import type { StoreFile, StoreFiles } from './storeFiles.js';

export class LogWriter {
  readonly #files: StoreFiles;
  readonly #notify: OnNotice;
  #generation: number;
  #newest: number;
  #position: number;
  readonly #firstMeta: unknown;
  #file: StoreFile | null = null;
  /** How far the log is durable; past it there may be remains of a failed write. */
  #bytes: number;
  #mustCut = true;

  constructor(
    files: StoreFiles,
    notify: OnNotice,
    loaded: Pick<LoadedLog, 'generation' | 'goodBytes' | 'newestGeneration' | 'position' | 'meta'>,
  ) {
    this.#files = files;
    this.#notify = notify;
    this.#generation = loaded.generation;
    this.#newest = loaded.newestGeneration;
    this.#position = loaded.position;
    this.#firstMeta = loaded.meta;
    this.#bytes = loaded.goodBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Makes everything that is pending durable, or rejects and leaves it pending. */
  async commit(pending: PendingChanges): Promise<void> {
    const snapshot = pending.snapshot;
    // While the old log can be written, it is brought up to date first: then two generations hold everything.
    if (snapshot === null || (snapshot.goesOn && pending.hasUnwritten)) await this.#appendPending(pending);
    if (snapshot !== null) await this.#beginGeneration(pending, snapshot);
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    if (file !== null) await this.#release(file);
  }

  async #appendPending(pending: PendingChanges): Promise<void> {
    const frames = pending.takeUnwritten();
    try {
      await this.#append(frames);
    } catch (error) {
      pending.giveBackUnwritten(frames);
      throw error;
    }
  }

  async #append(frames: readonly Buffer[]): Promise<void> {
    this.#file ??= await this.#files.open(logName(this.#generation));
    const isNew = this.#bytes === 0;
    if (this.#mustCut) await this.#file.truncate(this.#bytes);
    this.#mustCut = true;
    // The facts of before: newer ones stand among the frames, in their order.
    const header = { position: this.#position, goesOn: true, meta: this.#firstMeta };
    const bytes = Buffer.concat(isNew ? [...logHead(header), ...frames] : frames);
    await this.#file.write(bytes, this.#bytes);
    await this.#file.sync();
    if (isNew) await this.#files.syncFolder();
    this.#mustCut = false;
    this.#bytes += bytes.length;
  }

  /** @param expected the snapshot for which the old log was brought up to date */
  async #beginGeneration(pending: PendingChanges, expected: PendingSnapshot): Promise<void> {
    const meta = pending.meta;
    const frames = pending.tailFrames();
    const snapshot = pending.takeSnapshot() ?? expected;
    try {
      await this.#write({ ...snapshot, goesOn: snapshot.goesOn && snapshot === expected }, frames, meta);
    } catch (error) {
      pending.giveBackSnapshot(snapshot);
      throw error;
    }
  }

  /** The log first, the name of the snapshot last: with it, the generation begins. */
  async #write(snapshot: PendingSnapshot, frames: readonly Buffer[], meta: unknown): Promise<void> {
    const generation = this.#newest + 1;
    const header = { position: snapshot.position, goesOn: snapshot.goesOn, meta };
    const log = Buffer.concat([...logHead(header), ...frames]);
    const file = await this.#files.open(logName(generation));
    try {
      await overwrite(file, log);
      const draft = await this.#files.open(draftName(generation));
      await overwrite(draft, Buffer.concat([...logHead(header), snapshot.frame])).finally(() =>
        draft.close(),
      );
    } catch (error) {
      await this.#release(file);
      // A full disk must not be filled with attempts.
      await this.#remove(draftName(generation), logName(generation));
      throw error;
    }
    // From here on the number is used up: should the rename survive a power cut, its log must never change again.
    this.#newest = generation;
    try {
      await this.#files.rename(draftName(generation), snapshotName(generation));
      await this.#files.syncFolder();
    } catch (error) {
      await this.#release(file);
      throw error;
    }
    const before = this.#file;
    this.#file = file;
    this.#generation = generation;
    this.#position = snapshot.position;
    this.#bytes = log.length;
    this.#mustCut = false;
    if (before !== null) await this.#release(before);
    await this.#removeGenerations(snapshot.goesOn ? generation - 1 : generation);
  }

  /** Removes everything older than this generation. */
  async #removeGenerations(oldestKept: number): Promise<void> {
    try {
      const names = await this.#files.list();
      const old = names.filter((name) => /^\d{10}\./.test(name) && Number.parseInt(name, 10) < oldestKept);
      await this.#remove(...old);
    } catch (error) {
      this.#tell(error);
    }
  }

  async #remove(...names: readonly string[]): Promise<void> {
    for (const name of names) await this.#files.remove(name).catch((error: unknown) => this.#tell(error));
  }

  async #release(file: StoreFile): Promise<void> {
    await file.close().catch((error: unknown) => this.#tell(error));
  }

  #tell(error: unknown): void {
    const reason = (error as Error).message;
    this.#notify('info', `An old file of the control log could not be closed or removed: ${reason}`, {
      code: 'storage_failed',
    });
  }
}

function logHead(header: GenerationHeader): Buffer[] {
  return [FILE_MARK, sealFrame(header, LIMITS.controlRecordBytes)];
}

async function overwrite(file: StoreFile, bytes: Buffer): Promise<void> {
  await file.truncate(0);
  await file.write(bytes, 0);
  await file.sync();
}
