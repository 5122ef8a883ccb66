/**
 * One machine: its disk, its clocks, and the process of a node that lives on it, dies and comes again. The process is
 * the shell of a real core: it gives it inputs one at a time and carries its outputs out in their order.
 */

import type { ControlLog } from '../../src/control/cluster/controlLog.js';
import type { PeerMessage } from '../../src/control/cluster/messages.js';
import type { NodeCore } from '../../src/control/cluster/nodeCore.js';
import type { NodeInput, NodeOutput } from '../../src/control/cluster/ports.js';
import { NOTHING_MEASURED } from '../../src/control/measurements.js';
import type { NodeFact } from '../../src/control/state.js';
import { changesPlan } from '../../src/control/workerPlan.js';
import type { ModelId, NodeId } from '../../src/shared/ids.js';
import { TIMES } from '../../src/shared/limits.js';
import { Clock } from './clock.js';
import { MODEL_SHAPES } from './declarations.js';
import { Disk } from './disk.js';
import type { Link } from './network.js';
import type { Random } from './random.js';
import { FakeWorker } from './runners.js';
import { Api, type StreamMessage, Streams } from './streams.js';
import type { World } from './world.js';

export type Core = Pick<
  NodeCore,
  'handle' | 'state' | 'role' | 'epoch' | 'isUpToDate' | 'position' | 'placelessTasks'
>;

export const NODE_MEMORY_BYTES = 16_000_000_000;

export class Machine {
  readonly id: NodeId;
  readonly world: World;
  readonly random: Random;
  readonly disk: Disk;
  readonly clock: Clock;
  process: Process | null = null;
  /** The process is stopped by a signal, or the machine sleeps: what comes waits. */
  isPaused = false;
  /** Not started again until the last faults are over. */
  staysDown = false;
  /** The models whose files are here, and whether they are whole. */
  readonly files: ReadonlyMap<ModelId, { readonly isDamaged: boolean }>;
  #resumedAt = 0;

  constructor(world: World, id: NodeId, random: Random) {
    this.world = world;
    this.id = id;
    this.random = random;
    this.disk = new Disk(random);
    this.files = drawFiles(world, id);
    this.clock = new Clock(world.time, random.between(0, 1e6), 1 + random.between(-1, 1) * world.plan.drift);
  }

  /** What waited in the pause may not be done yet. */
  get hasJustResumed(): boolean {
    return this.world.time.now - this.#resumedAt < 500;
  }

  start(): void {
    if (this.process !== null) return;
    this.disk.incarnation += 1;
    const node: NodeFact = {
      nodeId: this.id,
      name: this.id,
      incarnation: this.disk.incarnation,
      addresses: [`${this.id}:52416`],
      memoryBytes: NODE_MEMORY_BYTES,
      isDraining: false,
      models: [...this.files.keys()],
    };
    this.process = new Process(this, node, this.disk.load());
    this.process.start();
  }

  /** The process is gone at once, and with it its runners and what it had not written. */
  crash(): void {
    const { process } = this;
    if (process === null) return;
    this.process = null;
    this.isPaused = false;
    this.disk.crash();
    this.world.note(`${this.id} crashes`);
    for (const watch of this.world.watches) watch.crashed?.(process);
    this.world.network.processDied(process, this.world.machines);
  }

  /** The node takes nothing new, says after a while that it goes, and ends. */
  drain(): void {
    const { process } = this;
    process?.whenAwake(() => {
      process.isDraining = true;
      process.handle({ kind: 'NodeChanged', node: { ...process.node, isDraining: true } });
      process.after(this.random.exponential(500), () => this.leave());
    });
  }

  leave(): void {
    this.process?.handle({ kind: 'Leave' });
    this.disk.flush();
    this.crash();
  }

  pause(isSleep: boolean): void {
    if (this.process === null || this.isPaused) return;
    this.isPaused = true;
    if (isSleep) this.clock.run(0);
    this.world.note(`${this.id} ${isSleep ? 'sleeps' : 'is paused'}`);
  }

  resume(): void {
    this.clock.run(1 + this.random.between(-1, 1) * this.world.plan.drift);
    if (!this.isPaused) return;
    this.isPaused = false;
    this.#resumedAt = this.world.time.now;
    this.world.note(`${this.id} goes on`);
    this.process?.resumed();
  }
}

export class Process {
  readonly machine: Machine;
  readonly node: NodeFact;
  readonly core: Core;
  readonly worker: FakeWorker;
  readonly streams: Streams;
  readonly api: Api;
  readonly #waiting: (() => void)[] = [];
  readonly #outputs: NodeOutput[] = [];
  #isCarryingOut = false;
  #isFlushPlanned = false;
  #isStreamLast = false;
  /** It was asked to end, and takes nothing new. */
  isDraining = false;

  constructor(machine: Machine, node: NodeFact, log: ControlLog) {
    this.machine = machine;
    this.node = node;
    this.core = machine.world.makeCore({ node, log, term: machine.disk.term });
    this.worker = new FakeWorker(this);
    this.streams = new Streams(this);
    this.api = new Api(this);
  }

  get isAlive(): boolean {
    return this.machine.process === this;
  }

  get name(): string {
    return `${this.machine.id}#${this.node.incarnation}`;
  }

  start(): void {
    const { world } = this.machine;
    world.note(`${this.name} starts with ${this.core.position.index} entries`);
    for (const watch of world.watches) watch.started?.(this);
    for (const other of world.machines) world.network.dial(this.machine, other);
    this.#tick();
    if (world.plan.declarations !== null) this.#measure();
    this.worker.reconcile();
  }

  /** Runs this after so long on the machine's clock, unless the process has died; late when it is paused then. */
  after(ms: number, run: () => void): void {
    this.machine.world.time.after(this.machine.clock.realMs(ms), () => this.whenAwake(run));
  }

  whenAwake(run: () => void): void {
    if (!this.isAlive) return;
    if (this.machine.isPaused) {
      this.#waiting.push(run);
      this.#isStreamLast = false;
    } else run();
  }

  resumed(): void {
    const { random } = this.machine;
    // Which of what waited comes first, the timer or the network, nobody knows; but each stream keeps its order.
    if (random.chance(0.5) && !this.#isStreamLast) this.#waiting.unshift(...this.#waiting.splice(-1));
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      if (!this.isAlive) return;
      next();
    }
  }

  #tick(): void {
    this.handle({ kind: 'Tick' });
    this.after(TIMES.tickMs, () => this.#tick());
  }

  #measure(): void {
    const { world } = this.machine;
    const links = world.network.openLinks(world.machines);
    this.handle({ kind: 'Measured', measured: { ...NOTHING_MEASURED, links } });
    this.after(TIMES.registerMs, () => this.#measure());
  }

  linkOpened(peer: Process): void {
    const input = { kind: 'LinkOpened', peer: peer.machine.id, incarnation: peer.node.incarnation } as const;
    this.whenAwake(() => this.handle(input));
  }

  linkClosed(peer: Process): void {
    this.whenAwake(() => {
      this.handle({ kind: 'LinkClosed', peer: peer.machine.id });
      this.streams.linkClosed(peer.machine.id);
      this.api.linkClosed(peer.machine.id);
    });
  }

  received(from: Process, message: PeerMessage): void {
    this.whenAwake(() => this.handle({ kind: 'Received', from: from.machine.id, message }));
  }

  streamReceived(from: Process, message: StreamMessage, link: Link): void {
    this.whenAwake(() => {
      if (message.kind === 'open' || message.kind === 'cancel')
        this.streams.received(from.machine.id, message, link);
      else this.api.answered(message);
    });
    this.#isStreamLast = true;
  }

  handle(input: NodeInput): void {
    if (!this.isAlive) return;
    const { world, clock } = this.machine;
    const outputs = this.core.handle(input, clock.instant);
    world.handled(this, input, outputs);
    this.#outputs.push(...outputs);
    if (this.#isCarryingOut) return;
    this.#isCarryingOut = true;
    for (let next = this.#outputs.shift(); next !== undefined; next = this.#outputs.shift())
      this.#carry(next);
    this.#isCarryingOut = false;
  }

  #carry(output: NodeOutput): void {
    if (!this.isAlive) return;
    const { disk, world } = this.machine;
    switch (output.kind) {
      case 'Send': {
        const to = world.machine(output.to);
        if (to !== undefined) world.network.send(this, to, { control: output.message });
        return;
      }
      case 'StoreTerm':
        disk.term = output.term;
        return;
      case 'StoreEntry':
        disk.storeEntry(output.entry);
        this.#flushLater();
        return;
      case 'StoreSnapshot':
        disk.storeSnapshot(output.snapshot);
        this.#flushLater();
        return;
      case 'Flush':
        this.#flush(output.index);
        return;
      case 'Applied':
        if (changesPlan(output.entry.event)) this.worker.reconcile();
        return;
      case 'StateReplaced':
      case 'RoleChanged':
        this.worker.reconcile();
        return;
      case 'PeerJudged':
        return;
      case 'CommandEnded':
        world.user.commandEnded(this, output.key, output.answer);
        return;
      case 'TaskPlaced':
        this.api.placed(output.taskId, output.assignment);
        return;
      case 'TaskMoving':
        this.api.moving(output.taskId);
        return;
      case 'TaskEnded':
        this.api.ended(output.taskId);
        return;
    }
  }

  #flush(index: number): void {
    const { disk, random, world } = this.machine;
    this.after(random.exponential(world.diskDelayMs), () => {
      if (disk.flush()) this.handle({ kind: 'Flushed', index });
      else this.after(TIMES.storeRetryMs, () => this.#flush(index));
    });
  }

  /** What is stored is written soon also when nobody asks for it. */
  #flushLater(): void {
    if (this.#isFlushPlanned) return;
    this.#isFlushPlanned = true;
    this.after(this.machine.random.exponential(4 * this.machine.world.diskDelayMs), () => {
      this.#isFlushPlanned = false;
      if (!this.machine.disk.flush()) this.#flushLater();
    });
  }
}

function drawFiles(world: World, id: NodeId): Machine['files'] {
  const { declarations } = world.plan;
  if (declarations === null) return new Map();
  const drawn = world.random(`files of ${id}`);
  const files = new Map<ModelId, { readonly isDamaged: boolean }>();
  for (const modelId of MODEL_SHAPES.keys()) {
    const isDamaged = drawn.chance(declarations.damagedFiles);
    if (drawn.chance(declarations.files)) files.set(modelId, { isDamaged });
  }
  return files;
}
