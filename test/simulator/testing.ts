/** Cores that are wrong on purpose: a real one behind a wrapper that changes what goes in, what comes out or what shows. */
import { NodeCore, type NodeCoreOptions } from '../../src/control/cluster/nodeCore.js';
import type { Instant, NodeInput, NodeOutput } from '../../src/control/cluster/ports.js';
import type { Position } from '../../src/control/cluster/position.js';
import type { ClusterState, NodeFact } from '../../src/control/state.js';
import type { Core } from './machine.js';

export interface Harm {
  /** What the core is given instead; null for nothing. */
  readonly input?: (input: NodeInput, core: NodeCore, node: NodeFact) => NodeInput | null;
  readonly outputs?: (outputs: NodeOutput[], core: NodeCore, input: NodeInput) => NodeOutput[];
  readonly state?: (state: ClusterState, node: NodeFact) => ClusterState;
  readonly position?: (position: Position, node: NodeFact) => Position;
  readonly options?: (options: NodeCoreOptions) => NodeCoreOptions;
}

export function harmed(harm: Harm): (options: NodeCoreOptions) => Core {
  return (options) => new HarmedCore(harm.options?.(options) ?? options, harm);
}

class HarmedCore implements Core {
  readonly #core: NodeCore;
  readonly #node: NodeFact;
  readonly #harm: Harm;

  constructor(options: NodeCoreOptions, harm: Harm) {
    this.#core = new NodeCore(options);
    this.#node = options.node;
    this.#harm = harm;
  }

  get state(): ClusterState {
    return this.#harm.state?.(this.#core.state, this.#node) ?? this.#core.state;
  }

  get position(): Position {
    return this.#harm.position?.(this.#core.position, this.#node) ?? this.#core.position;
  }

  get role(): NodeCore['role'] {
    return this.#core.role;
  }

  get placelessTasks(): number {
    return this.#core.placelessTasks;
  }

  get epoch(): NodeCore['epoch'] {
    return this.#core.epoch;
  }

  get isUpToDate(): boolean {
    return this.#core.isUpToDate;
  }

  handle(input: NodeInput, instant: Instant): NodeOutput[] {
    const given = this.#harm.input === undefined ? input : this.#harm.input(input, this.#core, this.#node);
    const outputs = given === null ? [] : this.#core.handle(given, instant);
    return this.#harm.outputs?.(outputs, this.#core, input) ?? outputs;
  }
}
