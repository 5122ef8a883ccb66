/**
 * The store on a disk. One loop writes at a time; what comes meanwhile is written together in its next turn (group
 * commit). After a failure nothing of the failed write is trusted: it is cut off and written anew.
 */
import { ShoalError } from '../../shared/errors.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { OnNotice } from '../link/notices.js';
import type { ControlStore, IndexedRecord, StoredLog } from './contract.js';
import { loadLog } from './loadLog.js';
import { LogWriter } from './logWriter.js';
import { PendingChanges } from './pendingChanges.js';
import type { StoreFiles } from './storeFiles.js';

export interface FileStoreComponents {
  readonly files: StoreFiles;
  readonly notify: OnNotice;
}

export interface FileStoreOptions {
  /** @default TIMES.storeRetryMs */
  readonly retryMs?: number;
  /** @default TIMES.storeStallMs */
  readonly stallMs?: number;
  /** @default LIMITS.controlLogBytes */
  readonly logBytes?: number;
}

interface Waiter {
  readonly change: number;
  readonly resolve: (isDurable: boolean) => void;
}

export class FileControlStore<R extends IndexedRecord, S, M> implements ControlStore<R, S, M> {
  readonly #files: StoreFiles;
  readonly #notify: OnNotice;
  readonly #retryMs: number;
  readonly #stallMs: number;
  readonly #logBytes: number;
  #pending: PendingChanges | null = null;
  #writer: LogWriter | null = null;
  #isDamaged = false;
  /** Changes are counted: the newest, and the newest that is durable. */
  #changes = 0;
  #durable = 0;
  #waiters: Waiter[] = [];
  #running: Promise<void> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #trouble: 'none' | 'refuses' | 'stalls' = 'none';
  #wasOverfull = false;
  #isClosed = false;

  constructor({ files, notify }: FileStoreComponents, options: FileStoreOptions = {}) {
    this.#files = files;
    this.#notify = notify;
    this.#retryMs = options.retryMs ?? TIMES.storeRetryMs;
    this.#stallMs = options.stallMs ?? TIMES.storeStallMs;
    this.#logBytes = options.logBytes ?? LIMITS.controlLogBytes;
  }

  async load(): Promise<StoredLog<R, S, M>> {
    if (this.#pending !== null) throw new Error('the store is loaded already');
    const loaded = await loadLog(this.#files, this.#notify).catch((error: unknown) => {
      if (error instanceof ShoalError) throw error;
      const reason = (error as Error).message;
      throw new ShoalError('storage_failed', `the control log cannot be read: ${reason}`, { cause: error });
    });
    this.#pending = new PendingChanges(loaded.position, loaded.records, loaded.meta);
    this.#writer = new LogWriter(this.#files, this.#notify, loaded);
    this.#isDamaged = loaded.isDamaged;
    return {
      position: loaded.position,
      snapshot: loaded.snapshot as S | null,
      records: loaded.records as readonly R[],
      meta: loaded.meta as M | null,
    };
  }

  append(records: readonly R[]): void {
    if (records.length === 0) return;
    const pending = this.#changed();
    try {
      pending.append(records);
    } finally {
      this.#wake();
    }
  }

  flush(): Promise<boolean> {
    if (this.#pending?.isOverfull === true) return Promise.resolve(false);
    if (this.#durable === this.#changes) return Promise.resolve(true);
    if (this.#isClosed || this.#trouble !== 'none') return Promise.resolve(false);
    const change = this.#changes;
    return new Promise((resolve) => this.#waiters.push({ change, resolve }));
  }

  saveSnapshot(snapshot: S, position: number): Promise<boolean> {
    this.#loaded.setSnapshot(snapshot, position);
    return this.#tellAndFlush();
  }

  replace(snapshot: S, position: number): Promise<boolean> {
    this.#loaded.replaceAll(snapshot, position);
    return this.#tellAndFlush();
  }

  setMeta(meta: M): Promise<boolean> {
    this.#loaded.setMeta(meta);
    return this.#tellAndFlush();
  }

  get wantsSnapshot(): boolean {
    const { isOverfull = false, tailBytes = 0, snapshot = null } = this.#pending ?? {};
    if (isOverfull || tailBytes > this.#logBytes) return true;
    // One that waits for the disk heals these.
    if (snapshot !== null) return false;
    return this.#isDamaged || (this.#writer?.bytes ?? 0) > this.#logBytes;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#retry = null;
    await this.#withinStallTime(this.#finish());
    this.#release(this.#durable, false);
  }

  async #finish(): Promise<void> {
    await this.#running;
    if (this.#pending?.isEmpty === false) await this.#run();
    await this.#writer?.close();
  }

  /** Waiting for a disk that hangs would hang the end of the node. */
  async #withinStallTime(work: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, this.#stallMs);
    });
    await Promise.race([work, limit]).finally(() => clearTimeout(timer));
  }

  get #loaded(): PendingChanges {
    if (this.#pending === null) throw new Error('the store is not loaded');
    return this.#pending;
  }

  #changed(): PendingChanges {
    const pending = this.#loaded;
    this.#changes += 1;
    return pending;
  }

  #tellAndFlush(): Promise<boolean> {
    this.#changed();
    this.#wake();
    return this.flush();
  }

  #wake(): void {
    this.#tellOverfull();
    if (this.#isClosed || this.#running !== null || this.#retry !== null) return;
    this.#running = this.#run();
  }

  /** Writes until nothing is left, or the disk refuses. Never rejects. */
  async #run(): Promise<void> {
    // What is said within one turn of the event loop is written at once.
    await Promise.resolve();
    const pending = this.#loaded;
    while (this.#durable < this.#changes || !pending.isEmpty) {
      if (await this.#commit(pending)) continue;
      this.#tryLater();
      break;
    }
    // In the same turn as the last look: a change that comes later starts the next run.
    this.#running = null;
  }

  async #commit(pending: PendingChanges): Promise<boolean> {
    const change = this.#changes;
    const beginsGeneration = pending.snapshot !== null;
    const stall = setTimeout(() => this.#failed('stalls', 'it does not answer'), this.#stallMs);
    try {
      await this.#writer?.commit(pending);
    } catch (error) {
      this.#failed('refuses', (error as Error).message);
      return false;
    } finally {
      clearTimeout(stall);
    }
    if (beginsGeneration) this.#isDamaged = false;
    this.#durable = change;
    this.#recovered();
    this.#release(change, true);
    return true;
  }

  #tryLater(): void {
    if (this.#isClosed) return;
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#wake();
    }, this.#retryMs);
  }

  #failed(trouble: 'refuses' | 'stalls', reason: string): void {
    if (this.#trouble === 'none') {
      const remedy = 'The node goes on in memory and tries again; free space, or look at the disk';
      this.#notify('warn', `The disk does not take the control log: ${reason}. ${remedy}.`, {
        code: 'storage_failed',
        error: reason,
      });
    }
    this.#trouble = trouble;
    this.#release(this.#durable, false);
  }

  #recovered(): void {
    if (this.#trouble === 'none') return;
    this.#trouble = 'none';
    this.#notify('info', 'The disk takes the control log again; nothing of it is missing.', {});
  }

  #tellOverfull(): void {
    const isOverfull = this.#pending?.isOverfull ?? false;
    if (isOverfull && !this.#wasOverfull) {
      this.#notify('warn', 'The control log is past its bound; from here on it is kept in memory only.', {
        code: 'storage_failed',
        limit_bytes: LIMITS.controlLogHardBytes,
      });
    }
    this.#wasOverfull = isOverfull;
  }

  /** Answers those who wait for changes up to this one, or, when it is bad news, all. */
  #release(change: number, isDurable: boolean): void {
    const isAnswered = (waiter: Waiter) => !isDurable || waiter.change <= change;
    const answered = this.#waiters.filter(isAnswered);
    this.#waiters = this.#waiters.filter((waiter) => !isAnswered(waiter));
    for (const waiter of answered) waiter.resolve(isDurable);
  }
}
