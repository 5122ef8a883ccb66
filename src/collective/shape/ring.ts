/**
 * Each rank has links to the ranks before and after it, the last one to the first: what a pipeline needs. The parts of
 * small sums go around both ways, half of the ring each. Long sums are made on one way around, from rank 0 on, so that
 * they too are added in the order of ranks: in segments, so that all links carry at the same time.
 */
import { KIND } from '../link/wire.js';
import type { Step } from '../operation.js';
import { bytesOf, type Shape, type World } from './shape.js';
import { writeSum } from './sum.js';

/** From this size on, and this many ranks, the bytes that are saved are worth more hops (docs/benchmarks.md). */
const LONG_BYTES = 128 * 1024;
const LONG_RANKS = 4;
const SEGMENT_ELEMENTS = 16 * 1024;

export const ring: Shape = {
  neighboursOf: (world) => {
    if (world.size === 1) return [];
    const [before, after] = [left(world), right(world)];
    return before === after ? [after] : [before, after].sort((a, b) => a - b);
  },

  async gather(world, step, parts) {
    const { size } = world;
    // What goes right comes from the left: the parts of the ranks before this one, the nearest first.
    const hopsRight = Math.floor(size / 2);
    const hopsLeft = size - 1 - hopsRight;
    await Promise.all([passOn(world, step, parts, hopsRight, 1), passOn(world, step, parts, hopsLeft, -1)]);
    await step.posted();
  },

  reducesInPlace: ({ size }, bytes) => size >= LONG_RANKS && bytes >= LONG_BYTES,

  async reduce(world, step, buffer) {
    await Promise.all([sumUp(world, step, buffer), handOut(world, step, buffer)]);
    await step.posted();
  },

  broadcastTo: (world) => (world.size === 1 ? [] : [right(world)]),

  mayBring: (world, _origin, from) => from === left(world),

  relayTo: (world, origin) => (right(world) === origin ? [] : [right(world)]),
};

function left({ rank, size }: World): number {
  return (rank + size - 1) % size;
}

function right({ rank, size }: World): number {
  return (rank + 1) % size;
}

/**
 * In each hop sends the part that came last to one neighbour, and takes the next one from the other.
 * @param direction 1 sends to the right, -1 to the left
 */
async function passOn(
  world: World,
  step: Step,
  parts: readonly Uint8Array[],
  hops: number,
  direction: 1 | -1,
): Promise<void> {
  const { rank, size } = world;
  const [to, from] = direction === 1 ? [right(world), left(world)] : [left(world), right(world)];
  for (let hop = 0; hop < hops; hop += 1) {
    const sent = (rank - direction * hop + size * hops) % size;
    const origin = (rank - direction * (hop + 1) + size * hops) % size;
    step.post(to, KIND.part, parts[sent]!);
    await step.receive(from, KIND.part, parts[origin]!, origin);
  }
}

/** From rank 0 to the last: each adds its own. The last one has the sums. */
async function sumUp(world: World, step: Step, buffer: Float32Array): Promise<void> {
  const { rank, size } = world;
  for (const segment of segmentsOf(buffer)) {
    if (rank === 0) {
      step.post(1, KIND.part, bytesOf(segment));
      continue;
    }
    const sum = new Float32Array(segment.length);
    await step.receive(left(world), KIND.part, bytesOf(sum), rank - 1);
    writeSum(sum, sum, segment);
    if (rank < size - 1) step.post(right(world), KIND.part, bytesOf(sum));
    else {
      segment.set(sum);
      step.post(0, KIND.result, bytesOf(segment));
    }
  }
}

/** From the last rank over rank 0 to the last but one: each takes the sums and hands them on. */
async function handOut(world: World, step: Step, buffer: Float32Array): Promise<void> {
  const { rank, size } = world;
  if (rank === size - 1) return;
  for (const segment of segmentsOf(buffer)) {
    await step.receive(left(world), KIND.result, bytesOf(segment), size - 1);
    if (rank < size - 2) step.post(right(world), KIND.result, bytesOf(segment));
  }
}

function segmentsOf(buffer: Float32Array): Float32Array[] {
  const count = Math.max(1, Math.ceil(buffer.length / SEGMENT_ELEMENTS));
  return Array.from({ length: count }, (_, index) =>
    buffer.subarray(index * SEGMENT_ELEMENTS, (index + 1) * SEGMENT_ELEMENTS),
  );
}
