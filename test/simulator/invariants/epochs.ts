import { type Invariant, Violation } from './contract.js';

const NAME = 'one-actor-an-epoch';

/** Epochs are the ground under everything else: two logs can be compared only if each epoch had one author. */
export const oneActorAnEpoch: Invariant = {
  name: NAME,
  meaning: 'In one epoch (term and node) one life of one node appends entries, and nobody else.',
  kind: 'safety',
  watch() {
    /** Which life acted in each epoch. */
    const actors = new Map<string, number>();
    return {
      handled({ core, machine, node, name }, _input, outputs) {
        if (core.role !== 'master') return;
        for (const output of outputs) {
          if (output.kind !== 'StoreEntry') continue;
          const { term, nodeId } = output.entry.epoch;
          if (nodeId !== machine.id) {
            // What came while it still followed; the rest of its outputs are its own.
            if (outputs.some(({ kind }) => kind === 'RoleChanged')) continue;
            throw new Violation(NAME, `${name} rules, and appends to term ${term} of ${nodeId}`);
          }
          const epoch = `${term}/${nodeId}`;
          const actor = actors.get(epoch) ?? node.incarnation;
          actors.set(epoch, actor);
          if (actor !== node.incarnation) {
            throw new Violation(
              NAME,
              `lives ${actor} and ${node.incarnation} of ${nodeId} both act in term ${term}`,
            );
          }
        }
      },
    };
  },
};
