import { availableParallelism } from 'node:os';

/** From this many on, one thread is left for the node and everything else on the machine. */
const ENOUGH_TO_SPARE_ONE = 4;
/** A model with fewer weights than this computes a step faster than its threads can agree on one. */
const SMALL_MODEL_BYTES = 64 * 1024 * 1024;

/**
 * Threads for a model when nobody said how many. Threads wait for each other, spinning, at every node of the graph: when
 * a busy neighbour takes one core, all of them stand still for its time slice. So one core is spared where there are
 * enough, and a small model gets one thread.
 */
export function computeThreads(weightsBytes: number): number {
  if (weightsBytes < SMALL_MODEL_BYTES) return 1;
  const threads = availableParallelism();
  return threads >= ENOUGH_TO_SPARE_ONE ? threads - 1 : threads;
}
