/**
 * Every rank has a link to every other: one hop to everywhere. Small sums are made by each rank from the parts of all.
 * For long ones each rank makes the sums of one slice and hands them out, which moves fewer bytes from three ranks on.
 */

import { KIND } from '../link/wire.js';
import type { Step } from '../operation.js';
import { bytesOf, type Shape, type World } from './shape.js';
import { addInOrder } from './sum.js';

/** From this size on the bytes that are saved are worth a second hop (docs/benchmarks.md). */
const LONG_BYTES = 64 * 1024;

export const mesh: Shape = {
  neighboursOf: ({ rank, size }) => others(rank, size),

  async gather({ rank }, step, parts) {
    const own = parts[rank]!;
    const exchanges: Promise<void>[] = [];
    for (let peer = 0; peer < parts.length; peer += 1) {
      if (peer !== rank)
        exchanges.push(step.send(peer, KIND.part, own), step.receive(peer, KIND.part, parts[peer]!));
    }
    await Promise.all(exchanges);
  },

  reducesInPlace: ({ size }, bytes) => size > 2 && bytes >= LONG_BYTES,

  reduce: reduceBySlices,

  broadcastTo: ({ rank, size }) => others(rank, size),

  mayBring: (_world, origin, from) => origin === from,

  relayTo: () => [],
};

function others(rank: number, size: number): number[] {
  return Array.from({ length: size }, (_, peer) => peer).filter((peer) => peer !== rank);
}

async function reduceBySlices({ rank, size }: World, step: Step, buffer: Float32Array): Promise<void> {
  const sliceOf = (peer: number) =>
    buffer.subarray(
      Math.floor((buffer.length * peer) / size),
      Math.floor((buffer.length * (peer + 1)) / size),
    );
  const peers = others(rank, size);
  const own = sliceOf(rank);
  const terms = Array.from({ length: size }, (_, peer) =>
    peer === rank ? own : new Float32Array(own.length),
  );
  await Promise.all(
    peers.flatMap((peer) => [
      step.send(peer, KIND.part, bytesOf(sliceOf(peer))),
      step.receive(peer, KIND.part, bytesOf(terms[peer]!)),
    ]),
  );
  const [total, ...rest] = terms as [Float32Array, ...Float32Array[]];
  addInOrder(total, rest);
  if (total !== own) own.set(total);
  await Promise.all(
    peers.flatMap((peer) => [
      step.send(peer, KIND.result, bytesOf(own)),
      step.receive(peer, KIND.result, bytesOf(sliceOf(peer))),
    ]),
  );
}
