/**
 * Runs seeds of the simulator over all cores:
 * `npm run simulate -- [--seed 1] [--seeds 1000] [--minutes 1.5] [--nodes K] [--faults a,b] [--no-declarations] [--processes N] [--trace]`.
 * Prints progress, each violation with the words that replay it and a smaller form of it, and totals.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { FAULT_KINDS, type FaultKind, type SimulationOptions } from './plan.js';
import { runSeeds } from './pool.js';
import { replay, shrink } from './shrink.js';
import { type SimulationResult, simulate } from './simulation.js';
import { Totals } from './totals.js';

const PROGRESS_MS = 10_000;
/** More violations than these are counted, but not made smaller. */
const MOST_SHRUNK = 5;

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '1000' },
    minutes: { type: 'string', default: '1.5' },
    nodes: { type: 'string' },
    faults: { type: 'string' },
    'no-declarations': { type: 'boolean', default: false },
    processes: { type: 'string', default: String(availableParallelism()) },
    trace: { type: 'boolean', default: false },
  },
});

const options: Omit<SimulationOptions, 'seed'> = {
  minutes: Number(values.minutes),
  ...(values.nodes === undefined ? {} : { nodes: Number(values.nodes) }),
  ...(values.faults === undefined ? {} : { faults: faultKinds(values.faults) }),
  ...(values['no-declarations'] ? { declares: false } : {}),
};
const [first, count] = [Number(values.seed), Number(values.seeds)];

if (values.trace) {
  console.log(describe(simulate({ ...options, seed: first }, { onNote: (line) => console.log(line) })));
} else await runAll();

async function runAll(): Promise<void> {
  const totals = new Totals();
  const violations: SimulationResult[] = [];
  const ticker = setInterval(() => console.log(totals.progress(count)), PROGRESS_MS);
  await runSeeds({ first, count, processes: Number(values.processes), options }, (result) => {
    totals.add(result);
    if (result.violation === null) return;
    violations.push(result);
    console.log(describe(result));
  });
  clearInterval(ticker);
  for (const { seed, violation } of violations.slice(0, MOST_SHRUNK)) {
    const fails = (smaller: SimulationOptions) =>
      simulate(smaller).violation?.invariant === violation?.invariant;
    console.log(
      `seed ${seed}, ${violation?.invariant}, smaller: ${replay(shrink({ ...options, seed }, fails))}`,
    );
  }
  console.log(totals.summary());
  process.exitCode = violations.length === 0 ? 0 : 1;
}

function describe({ seed, violation, fingerprint, inputs }: SimulationResult): string {
  if (violation === null) return `seed ${seed}: all kept, ${inputs} inputs, fingerprint ${fingerprint}`;
  const { invariant, message, atMs } = violation;
  return `seed ${seed}: VIOLATION of ${invariant} at ${atMs} ms: ${message.slice(0, 600)}\n  replay: ${replay({ ...options, seed })} --trace`;
}

function faultKinds(text: string): FaultKind[] {
  const wanted = text === 'none' ? [] : text.split(',');
  const unknown = wanted.filter((kind) => !FAULT_KINDS.includes(kind as FaultKind));
  if (unknown.length > 0)
    throw new RangeError(`no faults ${unknown.join(', ')}; there are ${FAULT_KINDS.join(', ')}`);
  return wanted as FaultKind[];
}
