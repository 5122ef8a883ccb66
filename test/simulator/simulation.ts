/**
 * One seed from beginning to end: rage and calm in turns. In each calm the cluster has a bound to agree; then it is
 * healthy for a while, with the user at work; then, in the last one, its master is killed on top of it.
 */
import type { NodeCoreOptions } from '../../src/control/cluster/nodeCore.js';
import { Faults } from './faults.js';
import { ALL_INVARIANTS } from './invariants/all.js';
import { type Invariant, Violation } from './invariants/contract.js';
import { loseMaster } from './invariants/failover.js';
import { SETTLED_CHECKS } from './invariants/settled.js';
import type { Core } from './machine.js';
import { drawPlan, type SimulationOptions } from './plan.js';
import { World } from './world.js';

/** After the last fault, until everything is as it is wanted. */
const AGREE_MS = 10_000;

const LOOK_MS = 100;
const HEALTHY_MS = 4_000;
/** Longer than the longest deadline of a request. */
const LAST_MS = 22_000;

export interface SimulationOverrides {
  readonly makeCore?: (options: NodeCoreOptions) => Core;
  readonly invariants?: readonly Invariant[];
  readonly onNote?: (line: string) => void;
}

export interface SimulationResult {
  readonly seed: number;
  readonly violation: { readonly invariant: string; readonly message: string; readonly atMs: number } | null;
  readonly fingerprint: string;
  readonly nodes: number;
  readonly inputs: number;
  readonly messages: number;
  /** How long each calm took until agreement, and each death of a master until the next. */
  readonly agreementsMs: readonly number[];
  readonly failoversMs: readonly number[];
}

export function simulate(options: SimulationOptions, overrides: SimulationOverrides = {}): SimulationResult {
  const plan = drawPlan(options);
  const world = new World({
    seed: options.seed,
    plan,
    invariants: overrides.invariants ?? ALL_INVARIANTS,
    ...overrides,
  });
  const course = new Course(world);
  let violation: SimulationResult['violation'] = null;
  try {
    course.run();
  } catch (error) {
    const invariant = error instanceof Violation ? error.invariant : 'no-exception';
    const message = error instanceof Violation ? error.message : String((error as Error).stack);
    violation = { invariant, message, atMs: Math.round(world.time.now) };
    world.note(`VIOLATION ${invariant}: ${message}`);
  }
  return {
    seed: options.seed,
    violation,
    fingerprint: world.trace.fingerprint,
    nodes: plan.nodes,
    inputs: world.trace.inputs,
    messages: world.network.sent.messages,
    agreementsMs: course.agreementsMs,
    failoversMs: course.failoversMs,
  };
}

class Course {
  readonly #world: World;
  readonly #faults: Faults;
  readonly agreementsMs: number[] = [];
  readonly failoversMs: number[] = [];

  constructor(world: World) {
    this.#world = world;
    this.#faults = new Faults(world);
  }

  run(): void {
    const { time, plan, machines, user, declarer } = this.#world;
    const random = this.#world.random('course');
    for (const machine of machines) time.after(random.exponential(300), () => machine.start());
    user.start();
    declarer.start();
    const lastAt = plan.endMs - LAST_MS - AGREE_MS - HEALTHY_MS;
    for (;;) {
      const rageMs = random.between(6_000, 20_000);
      const isLast = time.now + rageMs + AGREE_MS + 2 * HEALTHY_MS > lastAt;
      this.#rage(isLast ? Math.max(0, lastAt - time.now) : rageMs);
      this.#calm(isLast);
      if (isLast) break;
    }
    const failoverMs = loseMaster(this.#world, random.chance(0.5), (ms) => this.#pass(ms));
    if (failoverMs !== null) this.failoversMs.push(failoverMs);
    this.#agree();
    this.#pass(LAST_MS);
    this.#agree();
  }

  #rage(ms: number): void {
    this.#world.user.isActive = true;
    this.#faults.isRaging = true;
    this.#pass(ms);
  }

  #calm(isLast: boolean): void {
    const { user } = this.#world;
    user.isActive = false;
    this.#faults.calm(isLast);
    this.agreementsMs.push(this.#agree());
    this.#pass(1_000);
    this.#world.isHealthy = true;
    user.isActive = true;
    this.#pass(HEALTHY_MS);
    user.isActive = false;
    this.#agree();
    this.#world.isHealthy = false;
  }

  /** Within the bound there is a moment in which everything is as it should be. */
  #agree(): number {
    const { time } = this.#world;
    const since = time.now;
    while (time.now - since < AGREE_MS) {
      this.#pass(LOOK_MS);
      if (SETTLED_CHECKS.every(({ problem }) => problem(this.#world) === null)) break;
    }
    this.#settled();
    return time.now - since;
  }

  #settled(): void {
    for (const watch of this.#world.watches) watch.settled?.();
  }

  #pass(ms: number): void {
    const { time, watches } = this.#world;
    const end = time.now + ms;
    while (time.now < end) {
      time.runUntil(Math.min(end, time.now + 10 * LOOK_MS));
      for (const watch of watches) watch.looked?.();
    }
  }
}
