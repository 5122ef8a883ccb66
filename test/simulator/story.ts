/** A cluster on virtual time in which nothing happens by chance but when: what happens to it is told by a test. */
import assert from 'node:assert/strict';
import { metaInstanceStatus } from '../../src/control/metaInstanceView.js';
import type {
  ClusterState,
  InstanceRecord,
  MetaInstanceRecord,
  MetaInstanceWish,
} from '../../src/control/state.js';
import { metaInstanceWish } from '../../src/control/testing.js';
import { instancesOfWish } from '../../src/control/wishInstances.js';
import type { Fault } from '../../src/shared/errors.js';
import type { CommandId, MetaInstanceId, ModelId, NodeId, RunnerId, TaskId } from '../../src/shared/ids.js';
import { TIMES } from '../../src/shared/limits.js';
import { MODEL_SHAPES } from './declarations.js';
import { ALL_INVARIANTS } from './invariants/all.js';
import type { Invariant, InvariantWatch } from './invariants/contract.js';
import { SETTLED_CHECKS } from './invariants/settled.js';
import type { Machine, Process } from './machine.js';
import { drawPlan } from './plan.js';
import { World } from './world.js';

/** Several fit on a machine; one does; it takes two. */
export type Size = 'small' | 'large' | 'huge';
const MODELS: Readonly<Record<Size, ModelId>> = {
  small: 'm1' as ModelId,
  large: 'm2' as ModelId,
  huge: 'm3' as ModelId,
};

/** What a client sees of its request. */
interface AskedTimes {
  readonly deadlineMs?: number;
  readonly placeWaitMs?: number;
}

export interface Asked {
  isOpen(): boolean;
  isPlaced(): boolean;
  /** What the core ended it with; null while it is open, and when its answer is complete. */
  fault(): Fault | null;
}

const STEP_MS = 1;
const LOOK_MS = 50;
const LIMIT_MS = 60_000;

export class Story {
  readonly world: World;
  readonly #ends = new Map<TaskId, Fault>();
  #lookAt = 0;

  /** @param damaged machines on which no model comes up */
  constructor(nodes: number, seed: number, damaged: readonly number[] = []) {
    const drawn = drawPlan({ seed, minutes: 1, nodes, faults: [] });
    const declarations = { everyMs: Number.MAX_SAFE_INTEGER, files: 1, damagedFiles: 0 };
    const plan = { ...drawn, cursedRunners: 0, declarations };
    this.world = new World({ seed, plan, invariants: [...ALL_INVARIANTS, this.#endings()] });
    for (const at of damaged) {
      const files = this.machine(at).files as Map<ModelId, { readonly isDamaged: boolean }>;
      for (const modelId of files.keys()) files.set(modelId, { isDamaged: true });
    }
    for (const machine of this.world.machines) machine.start();
    this.until('one cluster', () => SETTLED_CHECKS.every(({ problem }) => problem(this.world) === null));
  }

  #endings(): Invariant {
    const handled: InvariantWatch['handled'] = (_process, _input, outputs) => {
      for (const output of outputs)
        if (output.kind === 'TaskEnded') this.#ends.set(output.taskId, output.fault);
    };
    return {
      name: 'endings',
      meaning: 'None: it takes note of them.',
      kind: 'safety',
      watch: () => ({ handled }),
    };
  }

  machine(at: number): Machine {
    return this.world.machines[at] ?? assert.fail(`no machine ${at}`);
  }

  machineOf(nodeId: NodeId): Machine {
    return this.world.machine(nodeId) ?? assert.fail(`no machine ${nodeId}`);
  }

  get master(): Process {
    return this.world.processes.find(({ core }) => core.role === 'master') ?? assert.fail('nobody rules');
  }

  get state(): ClusterState {
    return this.master.core.state;
  }

  pass(ms: number): void {
    const { time, watches } = this.world;
    time.runUntil(time.now + ms);
    if (time.now < this.#lookAt) return;
    this.#lookAt = time.now + LOOK_MS;
    for (const watch of watches) watch.looked?.();
  }

  until(what: string, isSo: () => boolean): void {
    const end = this.world.time.now + LIMIT_MS;
    while (!isSo()) {
      assert.ok(this.world.time.now < end, `not ${what} within ${LIMIT_MS} ms: ${this.#describe()}`);
      this.pass(STEP_MS);
    }
  }

  #describe(): string {
    const wishes = this.world.processes.flatMap(({ name, core }) =>
      [...core.state.metaInstances.values()].map(
        (wish) => `${name}: ${wish.metaInstanceId} ${metaInstanceStatus(core.state, wish)}`,
      ),
    );
    return wishes.join(', ');
  }

  /** Asks any node, as a person would. */
  declare(id: string, size: Size = 'small', more: Partial<MetaInstanceWish> = {}): void {
    const modelId = MODELS[size];
    const metaInstance = metaInstanceWish(id, { modelId, ...more });
    const shape = MODEL_SHAPES.get(modelId) ?? assert.fail('no shape');
    this.#command({ kind: 'CreateMetaInstance', metaInstance, shape });
  }

  takeBack(id: string): void {
    this.#command({ kind: 'DeleteMetaInstance', metaInstanceId: id as MetaInstanceId });
  }

  retry(id: string): void {
    this.#command({ kind: 'RetryMetaInstance', metaInstanceId: id as MetaInstanceId });
  }

  /** A client asks this node for a few words. */
  /** @param more for how long it may last, and wait for a place */
  ask(
    process: Process,
    taskId: string,
    size: Size = 'small',
    { deadlineMs = 60_000, placeWaitMs = TIMES.placeWaitMs }: AskedTimes = {},
  ): Asked {
    const id = taskId as TaskId;
    process.api.arrived({
      taskId: id,
      commandId: `of-${taskId}` as CommandId,
      modelId: MODELS[size],
      deadlineMs,
      placeWaitMs,
    });
    return {
      isOpen: () => process.api.open.has(id),
      isPlaced: () => process.api.open.get(id)?.assignment != null,
      fault: () => this.#ends.get(id) ?? null,
    };
  }

  #command(command: Parameters<World['user']['command']>[1]): void {
    const process = this.world.processes.at(-1) ?? assert.fail('no node');
    this.world.user.command(process, command);
  }

  /** What the master has of the wish, if there is a master that knows of it. */
  wish(id: string): MetaInstanceRecord | null {
    const master = this.world.processes.find(({ core }) => core.role === 'master');
    return master?.core.state.metaInstances.get(id as MetaInstanceId) ?? null;
  }

  status(id: string): string | null {
    const wish = this.wish(id);
    return wish === null ? null : metaInstanceStatus(this.state, wish);
  }

  untilStatus(id: string, status: string): void {
    this.until(`${id} ${status}`, () => this.status(id) === status);
  }

  /** Its instance on nodes that are there. */
  instance(id: string): InstanceRecord | null {
    if (this.wish(id) === null) return null;
    return instancesOfWish(this.state, id as MetaInstanceId).present[0] ?? null;
  }

  /** Lets time pass until a runner of the wish is in this phase on its node; that node, and the runner. */
  untilPhase(
    id: string,
    phase: string,
    rank = 0,
  ): { readonly process: Process; readonly runnerId: RunnerId } {
    let found: { process: Process; runnerId: RunnerId } | null = null;
    this.until(`${id} ${phase}`, () => {
      const shard = this.instance(id)?.shards[rank];
      if (shard === undefined) return false;
      const { process } = this.machineOf(shard.nodeId);
      if (process?.worker.runners.get(shard.runnerId)?.status !== phase) return false;
      found = { process, runnerId: shard.runnerId };
      return true;
    });
    return found ?? assert.fail('no runner');
  }

  /** One runner of the wish dies in this phase. */
  failIn(id: string, phase: string, rank = 0): void {
    const { process, runnerId } = this.untilPhase(id, phase, rank);
    const failures = this.wish(id)?.errors.length ?? 0;
    process.worker.fail(runnerId, `it dies while ${phase}`);
    this.until(`${id} counted`, () => (this.wish(id)?.errors.length ?? 0) > failures);
  }

  /** Within a bound everything is as it should be, and nobody runs what nobody wants. */
  settle(): void {
    this.until('settled', () => SETTLED_CHECKS.every(({ problem }) => problem(this.world) === null));
    for (const watch of this.world.watches) watch.settled?.();
  }
}
