/**
 * What a store holds in memory: the records since the snapshot, and what of all this is not on disk yet. It knows no
 * disk; `fileStore.ts` takes work from it and gives back what could not be done.
 */
import { LIMITS } from '../../shared/limits.js';
import type { IndexedRecord } from './contract.js';
import { sealFrame } from './sealedFrames.js';

/** A snapshot that shall begin a new generation. */
export interface PendingSnapshot {
  readonly position: number;
  readonly frame: Buffer;
  /** See `GenerationHeader.goesOn`. */
  readonly goesOn: boolean;
}

interface TailRecord {
  readonly index: number;
  readonly frame: Buffer;
}

export class PendingChanges {
  #position: number;
  #tail: TailRecord[] = [];
  #tailBytes = 0;
  #lastIndex: number;
  #unwritten: Buffer[] = [];
  #snapshot: PendingSnapshot | null = null;
  #isOverfull = false;
  #meta: unknown;

  constructor(position: number, records: readonly IndexedRecord[], meta: unknown) {
    this.#position = position;
    this.#lastIndex = position;
    this.#meta = meta;
    this.append(records);
    this.#unwritten = [];
  }

  get meta(): unknown {
    return this.#meta;
  }

  get snapshot(): PendingSnapshot | null {
    return this.#snapshot;
  }

  get hasUnwritten(): boolean {
    return this.#unwritten.length > 0;
  }

  get isEmpty(): boolean {
    return this.#snapshot === null && this.#unwritten.length === 0;
  }

  /** Records were left out: one was too long, or nobody took a snapshot in time. The next snapshot heals it. */
  get isOverfull(): boolean {
    return this.#isOverfull;
  }

  get tailBytes(): number {
    return this.#tailBytes;
  }

  /** @throws {RangeError} see `ControlStore.append`; the records before the one at fault are taken */
  append(records: readonly IndexedRecord[]): void {
    for (const record of records) {
      const { index } = record;
      if (!Number.isSafeInteger(index) || index > this.#lastIndex + 1 || index <= this.#position) {
        throw new RangeError(
          `record ${index} does not follow ${this.#lastIndex} (snapshot at ${this.#position})`,
        );
      }
      // Another node decided it, and the state has it already: no record may end the node.
      const frame = sealFrame(['record', record], Number.POSITIVE_INFINITY);
      const isTooLong = frame.length > LIMITS.controlRecordBytes;
      this.#cutAfter(index - 1);
      this.#lastIndex = index;
      if (this.#isOverfull || isTooLong || this.#tailBytes + frame.length > LIMITS.controlLogHardBytes) {
        this.#isOverfull = true;
        continue;
      }
      this.#tail.push({ index, frame });
      this.#tailBytes += frame.length;
      this.#unwritten.push(frame);
    }
  }

  setMeta(meta: unknown): void {
    const frame = sealFrame(['meta', meta], LIMITS.controlRecordBytes);
    this.#meta = meta;
    this.#unwritten.push(frame);
  }

  /** Forgets the records up to the position: the snapshot holds them. */
  setSnapshot(snapshot: unknown, position: number): void {
    if (!Number.isSafeInteger(position) || position < this.#position || position > this.#lastIndex) {
      const range = `${this.#position} to ${this.#lastIndex}`;
      throw new RangeError(`a snapshot at ${position} is not one of the records ${range}`);
    }
    this.#begin(snapshot, position, true);
    this.#tail = this.#tail.filter(({ index }) => index > position);
    this.#countTail();
    // Healed only when no record is missing between the snapshot and the last one.
    this.#isOverfull = (this.#tail.at(-1)?.index ?? position) < this.#lastIndex;
  }

  replaceAll(snapshot: unknown, position: number): void {
    if (!Number.isSafeInteger(position) || position < 0) throw new RangeError(`no position: ${position}`);
    this.#begin(snapshot, position, false);
    this.#tail = [];
    this.#countTail();
    this.#lastIndex = position;
    this.#isOverfull = false;
  }

  /** The frames that stand behind the header of a new generation. */
  tailFrames(): Buffer[] {
    return this.#tail.map(({ frame }) => frame);
  }

  /** Hands over everything that is to be written behind the present log. */
  takeUnwritten(): Buffer[] {
    const frames = this.#unwritten;
    this.#unwritten = [];
    return frames;
  }

  /** Hands over the snapshot; the new generation's log then holds all that was unwritten. */
  takeSnapshot(): PendingSnapshot | null {
    const snapshot = this.#snapshot;
    this.#snapshot = null;
    this.#unwritten = [];
    return snapshot;
  }

  giveBackUnwritten(frames: readonly Buffer[]): void {
    this.#unwritten = [...frames, ...this.#unwritten];
  }

  /** The generation could not be begun. One that was asked for since then is newer, but inherits the break. */
  giveBackSnapshot(failed: PendingSnapshot): void {
    const newer = this.#snapshot ?? failed;
    // After a failure it is not known how far the old log holds what the snapshot rests on.
    this.#snapshot = { ...newer, goesOn: false };
  }

  #begin(snapshot: unknown, position: number, goesOn: boolean): void {
    const frame = sealFrame(snapshot, LIMITS.controlSnapshotBytes);
    const breaksBefore = this.#snapshot !== null && !this.#snapshot.goesOn;
    this.#snapshot = { position, frame, goesOn: goesOn && !breaksBefore };
    this.#position = position;
  }

  #cutAfter(index: number): void {
    if (index >= this.#lastIndex) return;
    while ((this.#tail.at(-1)?.index ?? 0) > index) {
      this.#tailBytes -= (this.#tail.pop() as TailRecord).frame.length;
    }
    this.#lastIndex = index;
    // A cut below the first missing record makes the rest whole again.
    if ((this.#tail.at(-1)?.index ?? this.#position) === index) this.#isOverfull = false;
  }

  #countTail(): void {
    this.#tailBytes = this.#tail.reduce((bytes, { frame }) => bytes + frame.length, 0);
  }
}
