/** A place within one process where ranks meet: `all_gather` without a side channel. */
import type { AllGather } from '../connect.js';

export function meetingOf(worldSize: number): (rank: number) => AllGather {
  const blobs: Uint8Array[] = [];
  let arrived = 0;
  let resolveAll: (blobs: readonly Uint8Array[]) => void = () => undefined;
  const all = new Promise<readonly Uint8Array[]>((resolve) => {
    resolveAll = resolve;
  });
  return (rank) => (blob) => {
    blobs[rank] = blob;
    arrived += 1;
    if (arrived === worldSize) resolveAll(blobs);
    return all;
  };
}
