/** One of the processes that run seeds: simulates what it is given until nobody is there to give. */
import type { SimulationOptions } from './plan.js';
import { simulate } from './simulation.js';

process.on('message', (options: SimulationOptions) => {
  process.send?.(simulate(options));
});
