/** Finds a smaller schedule with the same violation: fewer kinds of faults, fewer nodes, less time. */
import { FAULT_KINDS, type FaultKind, MOST_NODES, type SimulationOptions } from './plan.js';

const LEAST_MINUTES = 0.7;

/** @param fails does the violation stay? */
export function shrink(
  failing: SimulationOptions,
  fails: (options: SimulationOptions) => boolean,
): SimulationOptions {
  let smallest: SimulationOptions & { readonly faults: readonly FaultKind[] } = {
    ...failing,
    faults: failing.faults ?? [...FAULT_KINDS],
  };
  if (smallest.declares !== false && fails({ ...smallest, declares: false }))
    smallest = { ...smallest, declares: false };
  for (const kind of FAULT_KINDS) {
    const less = { ...smallest, faults: smallest.faults.filter((other) => other !== kind) };
    if (smallest.faults.includes(kind) && fails(less)) smallest = less;
  }
  for (let nodes = 1; nodes < (smallest.nodes ?? MOST_NODES); nodes += 1) {
    if (fails({ ...smallest, nodes })) smallest = { ...smallest, nodes };
  }
  for (let minutes = smallest.minutes / 2; minutes >= LEAST_MINUTES; minutes /= 2) {
    if (!fails({ ...smallest, minutes })) break;
    smallest = { ...smallest, minutes };
  }
  return smallest;
}

/** The words that replay it. */
export function replay({ seed, minutes, nodes, faults, declares }: SimulationOptions): string {
  const words = [`npm run simulate -- --seed ${seed} --seeds 1 --minutes ${minutes}`];
  if (nodes !== undefined) words.push(`--nodes ${nodes}`);
  if (faults !== undefined) words.push(`--faults ${faults.join(',') || 'none'}`);
  if (declares === false) words.push('--no-declarations');
  return words.join(' ');
}
