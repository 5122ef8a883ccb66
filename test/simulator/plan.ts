/** What a seed means: how many machines, how bad the network, which faults; drawn once, so that a replay is the same. */
import { Random } from './random.js';

/** Each kind has a sequence of its own, so that a schedule without one of them is otherwise the same. */
export const FAULT_KINDS = [
  'crash',
  'pause',
  'sleep',
  'cut',
  'partition',
  'reset',
  'weather',
  'wallClock',
  'drift',
  'fullDisk',
  'slowDisk',
  'leave',
  'runnerDeath',
  'runnerFreeze',
  'powerCut',
] as const;

export type FaultKind = (typeof FAULT_KINDS)[number];

export const MOST_NODES = 7;

export interface SimulationOptions {
  readonly seed: number;
  /** Virtual time of the whole run. */
  readonly minutes: number;
  /** @default drawn from the seed: 1 … 7 */
  readonly nodes?: number;
  /** @default all of them */
  readonly faults?: readonly FaultKind[];
  /** Do people declare what shall run, and not only make instances by hand? @default true */
  readonly declares?: boolean;
}

export interface Plan {
  readonly nodes: number;
  readonly endMs: number;
  /** How the time between two faults of each kind is, on average; a kind that does not come is missing. */
  readonly faultEveryMs: ReadonlyMap<FaultKind, number>;
  /** Time between two wishes of the user on average. */
  readonly wishEveryMs: number;
  /** Length of a stream on average. */
  readonly requestMs: number;
  readonly models: number;
  /** Most that a monotonic clock runs fast or slow, as a share. */
  readonly drift: number;
  /** Share of the runners that never come up. */
  readonly cursedRunners: number;
  /** What people declare; null when they do not. */
  readonly declarations: DeclarationPlan | null;
}

export interface DeclarationPlan {
  /** Time between two of them on average. */
  readonly everyMs: number;
  /** Share of the machines that have the files of a model, and of those files that are damaged. */
  readonly files: number;
  readonly damagedFiles: number;
}

export function drawPlan(options: SimulationOptions): Plan {
  const random = new Random(options.seed, 'plan');
  const sizes = [1, 2, 2, 3, 3, 3, 4, 5, 5, MOST_NODES];
  const drawnNodes = random.pick(sizes) as number;
  const faultEveryMs = new Map<FaultKind, number>();
  const allowed = new Set(options.faults ?? FAULT_KINDS);
  const densest = random.pick([1_500, 4_000, 10_000]) as number;
  for (const kind of FAULT_KINDS) {
    if (kind === 'powerCut') continue;
    const everyMs = densest * random.between(1, 8);
    if (random.chance(0.6) && allowed.has(kind)) faultEveryMs.set(kind, everyMs);
  }
  const drift = random.pick([0, 0.001, 0.02]) as number;
  // Drawn apart, so that a seed means for the rest what it meant before there were these.
  const later = new Random(options.seed, 'later plan');
  const powerCutMs = later.between(15_000, 40_000);
  if (later.chance(0.3) && allowed.has('powerCut')) faultEveryMs.set('powerCut', powerCutMs);
  return {
    nodes: options.nodes ?? drawnNodes,
    endMs: options.minutes * 60_000,
    faultEveryMs,
    wishEveryMs: random.pick([100, 300, 1_000]) as number,
    requestMs: random.pick([200, 1_000, 4_000]) as number,
    models: random.integer(1, 3),
    drift: allowed.has('drift') ? drift : 0,
    cursedRunners: random.pick([0, 0.05, 0.2]) as number,
    declarations: options.declares === false ? null : drawDeclarations(later),
  };
}

function drawDeclarations(random: Random): DeclarationPlan {
  return {
    everyMs: random.pick([500, 2_000, 6_000]) as number,
    files: random.pick([0.5, 0.9, 1]) as number,
    damagedFiles: random.pick([0, 0, 0.15]) as number,
  };
}
