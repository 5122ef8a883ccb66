/** The faults of a schedule: each kind comes at times of its own, strikes, and is over after a while. */
import type { Machine } from './machine.js';
import { FAIR_WEATHER } from './network.js';
import { FAULT_KINDS, type FaultKind } from './plan.js';
import type { Random } from './random.js';
import type { World } from './world.js';

export class Faults {
  readonly #world: World;
  /** Counts the calms: what was to be undone after one has begun is undone already. */
  #calms = 0;
  isRaging = false;

  constructor(world: World) {
    this.#world = world;
    for (const kind of FAULT_KINDS) {
      const everyMs = world.plan.faultEveryMs.get(kind);
      if (everyMs !== undefined) this.#repeat(kind, everyMs, world.random(`fault ${kind}`));
    }
  }

  #repeat(kind: FaultKind, everyMs: number, random: Random): void {
    this.#world.time.after(random.exponential(everyMs), () => {
      if (this.isRaging) this.#strike(kind, random);
      this.#repeat(kind, everyMs, random);
    });
  }

  /** Everything is whole again; machines that are to stay down for now do. */
  calm(isLast: boolean): void {
    this.isRaging = false;
    this.#calms += 1;
    const { network, machines } = this.#world;
    this.#world.note('calm');
    network.weather = FAIR_WEATHER;
    this.#world.diskDelayMs = 5;
    for (const machine of machines) {
      machine.disk.isFull = false;
      machine.resume();
      if (machine.process?.isDraining) machine.leave();
    }
    network.healAll(machines);
    for (const machine of machines) {
      if (isLast) machine.staysDown = false;
      if (!machine.staysDown) machine.start();
    }
  }

  #later(ms: number, run: () => void): void {
    const calms = this.#calms;
    this.#world.time.after(ms, () => {
      if (this.#calms === calms) run();
    });
  }

  #strike(kind: FaultKind, random: Random): void {
    const { machines, network } = this.#world;
    const machine = random.pick(machines) as Machine;
    const other = random.pick(machines) as Machine;
    const shortMs = random.exponential(2_000);
    switch (kind) {
      case 'crash':
        machine.crash();
        machine.staysDown = random.chance(0.1);
        if (!machine.staysDown) this.#later(random.exponential(1_500), () => machine.start());
        return;
      case 'leave':
        machine.drain();
        this.#later(random.exponential(3_000), () => machine.start());
        return;
      case 'pause':
      case 'sleep':
        machine.pause(kind === 'sleep');
        this.#later(random.chance(0.5) ? shortMs : 3 * shortMs, () => machine.resume());
        return;
      case 'cut':
        this.#cut(machine, other, random.chance(0.5), random.chance(0.5), 2 * shortMs);
        return;
      case 'partition':
        this.#partition(random, 3 * shortMs);
        return;
      case 'reset':
        if (machine !== other) network.reset(machine, other);
        return;
      case 'weather':
        network.weather = {
          delayMs: random.pick([1, 20, 150]) as number,
          drop: random.pick([0, 0.02, 0.2]) as number,
          repeat: random.pick([0, 0.1]) as number,
          reorders: random.chance(0.5),
        };
        this.#later(2 * shortMs, () => {
          network.weather = FAIR_WEATHER;
        });
        return;
      case 'wallClock':
        machine.clock.jumpWall(random.between(-86_400_000, 86_400_000));
        return;
      case 'drift':
        if (!machine.isPaused) machine.clock.run(1 + random.between(-1, 1) * this.#world.plan.drift);
        return;
      case 'fullDisk':
        machine.disk.isFull = true;
        this.#later(2 * shortMs, () => {
          machine.disk.isFull = false;
        });
        return;
      case 'slowDisk':
        this.#world.diskDelayMs = random.pick([50, 400, 2_000]) as number;
        this.#later(2 * shortMs, () => {
          this.#world.diskDelayMs = 5;
        });
        return;
      case 'powerCut':
        this.#powerCut(random);
        return;
      case 'runnerDeath':
      case 'runnerFreeze':
        this.#strikeRunner(kind, machine, random);
        return;
    }
  }

  /** All go at once; they come back one after the other, some of them not before the last calm. */
  #powerCut(random: Random): void {
    for (const machine of this.#world.machines) {
      machine.crash();
      machine.staysDown = random.chance(0.2);
      if (!machine.staysDown) this.#later(random.exponential(2_000), () => machine.start());
    }
  }

  #strikeRunner(kind: 'runnerDeath' | 'runnerFreeze', machine: Machine, random: Random): void {
    const { process } = machine;
    const runnerId = random.pick([...(process?.worker.runners.keys() ?? [])]);
    if (process === null || runnerId === undefined) return;
    process.whenAwake(() => {
      if (kind === 'runnerFreeze') process.worker.freeze(runnerId);
      else process.worker.fail(runnerId, 'Terminated (signal=6 SIGABRT)');
    });
  }

  #cut(from: Machine, to: Machine, isOneWay: boolean, holds: boolean, ms: number): void {
    if (from === to) return;
    const { network } = this.#world;
    this.#world.note(`cut ${from.id} → ${to.id}${isOneWay ? '' : ' and back'}${holds ? ', held' : ''}`);
    network.cut(from, to, holds);
    if (!isOneWay) network.cut(to, from, holds);
    this.#later(ms, () => {
      this.#world.note(`whole again: ${from.id} and ${to.id}`);
      network.heal(from, to);
      network.heal(to, from);
    });
  }

  #partition(random: Random, ms: number): void {
    const side = new Set(this.#world.machines.filter(() => random.chance(0.5)));
    const [isOneWay, holds] = [random.chance(0.2), random.chance(0.5)];
    for (const from of side) {
      for (const to of this.#world.machines) if (!side.has(to)) this.#cut(from, to, isOneWay, holds, ms);
    }
  }
}
