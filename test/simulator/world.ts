/** Everything that a simulation consists of, and what all its parts may see. */
import { NodeCore, type NodeCoreOptions } from '../../src/control/cluster/nodeCore.js';
import type { NodeInput, NodeOutput } from '../../src/control/cluster/ports.js';
import type { NodeId } from '../../src/shared/ids.js';
import { Declarer } from './declarations.js';
import type { Invariant, InvariantWatch } from './invariants/contract.js';
import { type Core, Machine, type Process } from './machine.js';
import { Network } from './network.js';
import type { Plan } from './plan.js';
import { Random } from './random.js';
import { Trace } from './trace.js';
import { User } from './user.js';
import { VirtualTime } from './virtualTime.js';

export interface WorldOptions {
  readonly seed: number;
  readonly plan: Plan;
  readonly invariants: readonly Invariant[];
  /** Puts another core in place of the real one; for tests of the invariants. */
  readonly makeCore?: (options: NodeCoreOptions) => Core;
  /** Is told what happens, in words. */
  readonly onNote?: (line: string) => void;
}

export class World {
  readonly time = new VirtualTime();
  readonly plan: Plan;
  readonly trace = new Trace();
  readonly network: Network;
  readonly machines: readonly Machine[];
  readonly user: User;
  readonly declarer: Declarer;
  readonly watches: readonly InvariantWatch[];
  readonly makeCore: (options: NodeCoreOptions) => Core;
  diskDelayMs = 5;
  /** No fault is left, and the nodes agree. */
  isHealthy = false;
  /** The one node that has died in an otherwise healthy cluster, while the others get over it. */
  lostNode: NodeId | null = null;
  readonly #byId: ReadonlyMap<NodeId, Machine>;
  readonly #seed: number;
  readonly #onNote: ((line: string) => void) | undefined;

  constructor({ seed, plan, invariants, makeCore, onNote }: WorldOptions) {
    this.#seed = seed;
    this.plan = plan;
    this.makeCore = makeCore ?? ((options) => new NodeCore(options));
    this.#onNote = onNote;
    this.network = new Network(this.time, this.random('network'));
    const ids = Array.from({ length: plan.nodes }, (_, index) => `n${index + 1}` as NodeId);
    this.machines = ids.map((id) => new Machine(this, id, this.random(id)));
    this.#byId = new Map(this.machines.map((machine) => [machine.id, machine]));
    this.user = new User(this, this.random('user'));
    this.declarer = new Declarer(this, this.random('declarer'));
    this.watches = invariants.map((invariant) => invariant.watch(this));
  }

  random(name: string): Random {
    return new Random(this.#seed, name);
  }

  machine(id: NodeId): Machine | undefined {
    return this.#byId.get(id);
  }

  get processes(): Process[] {
    return this.machines.flatMap(({ process }) => process ?? []);
  }

  handled(process: Process, input: NodeInput, outputs: readonly NodeOutput[]): void {
    this.trace.handled(this.time.now, process, input, outputs);
    if (this.#onNote !== undefined) this.#noteHandled(process, input, outputs);
    for (const watch of this.watches) watch.handled?.(process, input, outputs);
  }

  note(line: string): void {
    this.#onNote?.(`${this.time.now.toFixed(1)} ${line}`);
  }

  #noteHandled({ name }: Process, input: NodeInput, outputs: readonly NodeOutput[]): void {
    if (input.kind !== 'Tick' && (input.kind !== 'Received' || input.message.kind !== 'Pulse')) {
      this.note(`${name} ← ${brief(input)}`);
    }
    for (const output of outputs) {
      if (output.kind === 'Send' || output.kind === 'Applied') continue;
      this.note(`${name}   → ${brief(output)}`);
    }
  }
}

function brief(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length > 600 ? `${text.slice(0, 600)} …` : text;
}
