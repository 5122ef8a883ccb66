import { apply } from '../../../src/control/apply.js';
import type { NodeOutput } from '../../../src/control/cluster/ports.js';
import type { ClusterState } from '../../../src/control/state.js';

interface Core {
  readonly state: ClusterState;
}

/**
 * What a core knew when it said something. In one turn it may carry out much that had waited: what came of that later
 * in the turn does not count.
 */
export class Turns {
  readonly #states = new WeakMap<Core, ClusterState>();

  /** To be called for every input. @returns the state at the output of that number */
  next(core: Core, outputs: readonly NodeOutput[]): (output: number) => ClusterState {
    const [before, after] = [this.#states.get(core) ?? core.state, core.state];
    this.#states.set(core, after);
    return (output) => {
      const earlier = outputs.slice(0, output);
      if (earlier.some(({ kind }) => kind === 'StateReplaced')) return after;
      return earlier.reduce(
        (state, said) => (said.kind === 'StoreEntry' ? apply(state, said.entry.event) : state),
        before,
      );
    };
  }
}
