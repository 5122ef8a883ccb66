/**
 * Keeps the control log of a node over restarts, crashes and power cuts: a snapshot of the state at some index, the
 * records after it, and a small piece of facts beside them (term, vote). What happened since the last `flush` that
 * said `true` may be lost in a crash, its newest part first; what was there before may not.
 *
 * A store never fails its node: a disk that refuses is told to people, everything goes on in memory and is tried again,
 * and each operation says whether it is durable.
 */

/** A record knows its place: indexes rise by one. The rest is plain data that MessagePack can carry. */
export interface IndexedRecord {
  readonly index: number;
}

/** What a store had kept. Its shapes are those that were written: the store checks that bytes are whole, not sense. */
export interface StoredLog<R extends IndexedRecord, S, M> {
  /** Index of the last record that the snapshot holds; 0 without a snapshot. */
  readonly position: number;
  readonly snapshot: S | null;
  /** Those after `position`, without a gap. */
  readonly records: readonly R[];
  readonly meta: M | null;
}

export interface ControlStore<R extends IndexedRecord = IndexedRecord, S = unknown, M = unknown> {
  /**
   * Reads what was kept; called once, before anything else.
   * @throws {ShoalError} `storage_failed` when the folder cannot be read, or a newer version of the program wrote it
   */
  load(): Promise<StoredLog<R, S, M>>;

  /**
   * Takes the next records and starts to write them; many calls share one write. A record whose index is not above
   * the last one takes its place, and all that came after are gone: this is how a follower's tail is replaced.
   * A record over its bound, and those after it, are kept by the next snapshot only: see `wantsSnapshot`.
   * @throws {RangeError} when the index leaves a gap or is within the snapshot
   */
  append(records: readonly R[]): void;

  /** Waits until everything said so far is on disk. `false`: the disk refuses; it is kept in memory and tried again. */
  flush(): Promise<boolean>;

  /**
   * Keeps a snapshot of the state after the record at `position`, and forgets the records up to there.
   * @returns as `flush`
   */
  saveSnapshot(snapshot: S, position: number): Promise<boolean>;

  /**
   * Puts another history in place of everything: the master's snapshot, with no record after it.
   * @returns as `flush`
   */
  replace(snapshot: S, position: number): Promise<boolean>;

  /** Keeps the facts beside the log, in order with its records. Returns as `flush`. */
  setMeta(meta: M): Promise<boolean>;

  /** The log grew past its bound, or a snapshot was found damaged: call `saveSnapshot` soon. */
  readonly wantsSnapshot: boolean;

  /** Tries once more to write what is not on disk yet, and lets go of the files. Never rejects. */
  close(): Promise<void>;
}
