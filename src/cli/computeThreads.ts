import { availableParallelism } from 'node:os';

/** From this many on, one thread is left for the node and everything else on the machine. */
const ENOUGH_TO_SPARE_ONE = 4;

/**
 * Threads for a model when nobody said how many. Spinning threads lose more from a busy neighbour than they gain from
 * the last core, so one is spared where there are enough.
 */
export function computeThreads(): number {
  const threads = availableParallelism();
  return threads >= ENOUGH_TO_SPARE_ONE ? threads - 1 : threads;
}
