/** Spreads seeds over processes: each takes the next one when it is done with its last. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { SimulationOptions } from './plan.js';
import type { SimulationResult } from './simulation.js';

export interface SeedRange {
  readonly first: number;
  readonly count: number;
  readonly processes: number;
  readonly options: Omit<SimulationOptions, 'seed'>;
}

export async function runSeeds(
  { first, count, processes, options }: SeedRange,
  onResult: (result: SimulationResult) => void,
): Promise<void> {
  let next = first;
  const worker = async (): Promise<void> => {
    const child = fork(fileURLToPath(new URL('poolProcess.js', import.meta.url)));
    const give = () => {
      if (next >= first + count) return child.disconnect();
      const seed: SimulationOptions = { ...options, seed: next };
      next += 1;
      child.send(seed);
    };
    child.on('message', (result: SimulationResult) => {
      onResult(result);
      give();
    });
    give();
    const [code] = (await once(child, 'exit')) as [number | null];
    if (code !== 0) throw new Error(`a process of the simulator ended with ${code}`);
  };
  await Promise.all(Array.from({ length: Math.min(processes, count) }, worker));
}
