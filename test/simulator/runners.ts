/**
 * The worker of a node with runners that compute nothing: they go through their phases, die in any of them, freeze and
 * are killed, come back after the backoff of the restart policy or are given up, and serve streams while they are ready.
 */
import type { RunnerReport } from '../../src/control/cluster/ports.js';
import { restartsAsWhole } from '../../src/control/instances.js';
import { decideRestart, RESTART_POLICY } from '../../src/control/restartPolicy.js';
import type { RunnerStatus } from '../../src/control/runnerLife.js';
import type { InstanceRecord, RunnerFailure } from '../../src/control/state.js';
import { planWorker } from '../../src/control/workerPlan.js';
import type { InstanceId, RunnerId } from '../../src/shared/ids.js';
import type { Process } from './machine.js';

const START = ['spawned', 'connecting', 'loading', 'warming_up', 'ready'] as const;
/** Silence after which a frozen runner is killed. */
const FREEZE_MS = 2_500;

interface FakeRunner {
  readonly runnerId: RunnerId;
  readonly instanceId: InstanceId;
  /** The master has it started anew, and not this node. */
  readonly isWatchedOver: boolean;
  /** Counts its processes: what was planned for an earlier one does not happen. */
  life: number;
  status: RunnerStatus;
  restarts: number;
  restartAt: number | null;
  readyAt: number;
  isFrozen: boolean;
  error: RunnerFailure | null;
  changedAt: number;
}

export class FakeWorker {
  readonly #process: Process;
  readonly #runners = new Map<RunnerId, FakeRunner>();
  /** Instances of the runners that are on their way out. */
  readonly #leaving = new Map<RunnerId, InstanceId>();
  readonly #memoryBytes = new Map<RunnerId, number>();
  /** Waiting for a runner to be ready or to fail. */
  readonly #onChange = new Map<RunnerId, Set<(status: RunnerStatus | null) => void>>();

  constructor(process: Process) {
    this.#process = process;
  }

  get runners(): ReadonlyMap<RunnerId, Readonly<FakeRunner>> {
    return this.#runners;
  }

  reconcile(): void {
    const { core, machine } = this.#process;
    if (!core.isUpToDate || !this.#process.isAlive) return;
    for (const action of planWorker(core.state, machine.id, {
      supervised: new Set(this.#runners.keys()),
      leaving: new Set(this.#leaving.values()),
      memoryBytes: this.#memoryBytes,
    })) {
      if (action.kind === 'StartRunner') {
        this.#memoryBytes.set(action.shard.runnerId, action.shard.memoryBytes);
        this.#start(action.instance, action.shard.runnerId);
      } else this.#stop(action.runnerId);
    }
  }

  #start(instance: InstanceRecord, runnerId: RunnerId): void {
    const { instanceId, modelId, metaInstanceId } = instance;
    const { core, machine } = this.#process;
    const { random, world, files } = machine;
    const isWatchedOver = restartsAsWhole(instance);
    const isDamaged = metaInstanceId !== null && files.get(modelId)?.isDamaged === true;
    const isCursed = random.chance(world.plan.cursedRunners) || isDamaged;
    const runner: FakeRunner = {
      runnerId,
      instanceId,
      isWatchedOver,
      life: 0,
      status: 'spawned',
      restarts: isWatchedOver
        ? (core.state.runners.get(runnerId)?.restarts ?? 0)
        : isCursed
          ? RESTART_POLICY.maxRestarts - 1
          : 0,
      restartAt: null,
      readyAt: 0,
      isFrozen: false,
      error: null,
      changedAt: world.time.now,
    };
    this.#runners.set(runnerId, runner);
    this.#spawn(runner);
    if (isCursed)
      this.#process.after(random.between(0, isDamaged ? 300 : 2_000), () =>
        this.fail(runnerId, 'it dies while it starts'),
      );
  }

  #spawn(runner: FakeRunner): void {
    runner.life += 1;
    runner.isFrozen = false;
    runner.restartAt = null;
    this.#change(runner, 'spawned');
    this.#advance(runner, runner.life, 1);
  }

  #advance(runner: FakeRunner, life: number, step: number): void {
    const status = START[step];
    if (status === undefined) return;
    this.#process.after(this.#process.machine.random.exponential(120), () => {
      if (!this.#isSame(runner, life) || runner.isFrozen) return;
      if (status === 'ready') runner.readyAt = this.#process.machine.world.time.now;
      this.#change(runner, status);
      this.#advance(runner, life, step + 1);
    });
  }

  /** Is this still the process that something was planned for, and has nobody asked it to stop? */
  #isSame(runner: FakeRunner, life: number): boolean {
    return this.#runners.get(runner.runnerId) === runner && runner.life === life;
  }

  /** The process of a runner dies by itself. */
  fail(runnerId: RunnerId, message: string): void {
    const runner = this.#runners.get(runnerId);
    if (runner === undefined || runner.status === 'failed') return;
    const { random, world, clock } = this.#process.machine;
    const { now } = world.time;
    const ranReadyMs = runner.readyAt === 0 ? 0 : now - runner.readyAt;
    const decision = runner.isWatchedOver
      ? ({ kind: 'give_up', history: { restarts: runner.restarts } } as const)
      : decideRestart({ restarts: runner.restarts }, ranReadyMs, random.next());
    runner.life += 1;
    runner.readyAt = 0;
    runner.error = {
      code: 'runner_failed',
      message,
      phase: runner.status,
      signal: 'SIGABRT',
      stderrTail: [],
      ranForMs: Math.round(ranReadyMs),
    };
    runner.restarts = decision.history.restarts;
    runner.restartAt = decision.kind === 'restart' ? clock.instant.wallMs + decision.delayMs : null;
    this.#change(runner, 'failed');
    if (decision.kind === 'give_up') return;
    const { life } = runner;
    this.#process.after(decision.delayMs, () => {
      if (this.#isSame(runner, life)) this.#spawn(runner);
    });
  }

  freeze(runnerId: RunnerId): void {
    const runner = this.#runners.get(runnerId);
    if (runner === undefined || runner.isFrozen || runner.status === 'failed') return;
    runner.isFrozen = true;
    const { life } = runner;
    this.#process.after(FREEZE_MS, () => {
      if (this.#isSame(runner, life)) this.fail(runnerId, 'it has sent no heartbeat: killed');
    });
  }

  /** Not wanted any more: it takes a while to end, and is no longer supervised from now on. */
  #stop(runnerId: RunnerId): void {
    const runner = this.#runners.get(runnerId);
    this.#runners.delete(runnerId);
    if (runner !== undefined) this.#leaving.set(runnerId, runner.instanceId);
    this.#tell(runnerId, null);
    if (runner !== undefined && runner.status !== 'failed') this.#report(runner, 'stopping');
    this.#process.after(this.#process.machine.random.exponential(200), () => {
      if (runner !== undefined && runner.status !== 'failed') this.#report(runner, 'stopped');
      if (!this.#runners.has(runnerId)) this.#process.handle({ kind: 'RunnerGone', runnerId });
      this.#leaving.delete(runnerId);
      this.#memoryBytes.delete(runnerId);
      this.reconcile();
    });
  }

  /** Of a runner whose instance is gone, nobody wants to know. */
  #report(runner: FakeRunner, status: RunnerStatus): void {
    if (this.#process.core.state.instances.has(runner.instanceId)) this.#change(runner, status);
  }

  #change(runner: FakeRunner, status: RunnerStatus): void {
    runner.status = status;
    runner.changedAt = this.#process.machine.world.time.now;
    const { runnerId, restarts, restartAt, error } = runner;
    const report: RunnerReport = { runnerId, status, pid: runner.life, restarts, restartAt, error };
    // Who waits for it hears why it failed before the state has it, and the plan stops it.
    if (status === 'failed') this.#tell(runnerId, status);
    this.#process.handle({ kind: 'RunnerChanged', runner: report });
    if (status !== 'failed') this.#tell(runnerId, status);
  }

  #tell(runnerId: RunnerId, status: RunnerStatus | null): void {
    for (const listener of [...(this.#onChange.get(runnerId) ?? [])]) listener(status);
  }

  /** Tells each new status of a runner, and null when it is stopped. Returns the function that ends it. */
  listen(runnerId: RunnerId, listener: (status: RunnerStatus | null) => void): () => void {
    const listeners = this.#onChange.get(runnerId) ?? new Set();
    this.#onChange.set(runnerId, listeners.add(listener));
    return () => {
      listeners.delete(listener);
      if (listeners.size === 0) this.#onChange.delete(runnerId);
    };
  }
}
