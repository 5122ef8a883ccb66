/** How the ranks are linked, and by which ways the operations of all ranks go. */
import type { Step } from '../operation.js';

export interface World {
  readonly rank: number;
  readonly size: number;
}

export interface Shape {
  /** The ranks that a rank has links to. */
  neighboursOf(world: World): readonly number[];

  /**
   * Brings the own bytes of every rank to every rank.
   * @param parts by rank, all of the same length; this rank's own are there, those of the others are written
   */
  gather(world: World, step: Step, parts: readonly Uint8Array[]): Promise<void>;

  /** Are sums of that many bytes better made by `reduce` than from the parts of all ranks? */
  reducesInPlace(world: World, bytes: number): boolean;

  /** Replaces the elements by their sums over all ranks, added in the order of ranks. */
  reduce(world: World, step: Step, buffer: Float32Array): Promise<void>;

  /** The ranks that a control frame of this rank is sent to. */
  broadcastTo(world: World): readonly number[];

  /** Can a control frame of rank `origin` come over the link to `from`? */
  mayBring(world: World, origin: number, from: number): boolean;

  /** The ranks that a control frame from `origin`, which came over the link to `from`, is sent on to. */
  relayTo(world: World, origin: number, from: number): readonly number[];
}

export function bytesOf(floats: Float32Array): Uint8Array {
  return new Uint8Array(floats.buffer, floats.byteOffset, floats.byteLength);
}
