import type { Entry } from '../../../src/control/cluster/messages.js';
import type { Position } from '../../../src/control/cluster/position.js';
import { toSnapshot } from '../../../src/control/cluster/snapshot.js';
import type { Process } from '../machine.js';
import { type Invariant, Violation } from './contract.js';

const LOGS = 'equal-logs';
const STATES = 'equal-states';
/** States are compared at every so many looks: to write them out costs more than to make them. */
const LOOKS = 8;

export function positionKey({ index, epoch }: Position): string {
  return `${index}@${epoch.term}/${epoch.nodeId}`;
}

/** The log of each node is followed entry by entry, over snapshots that are installed. */
export const equalLogs: Invariant = {
  name: LOGS,
  meaning:
    'Where two logs have the same epoch at the same index, they have the same entry there, and before it.',
  kind: 'safety',
  watch() {
    const known = new Map<string, { readonly previous: string; readonly event: Entry['event'] }>();
    const at = new WeakMap<Process, string>();
    return {
      started(process) {
        at.set(process, positionKey(process.core.position));
      },
      handled(process, _input, outputs) {
        for (const output of outputs) {
          if (output.kind === 'StoreSnapshot') at.set(process, positionKey(output.snapshot.position));
          if (output.kind !== 'StoreEntry') continue;
          const { entry } = output;
          const key = positionKey(entry);
          const previous = at.get(process) as string;
          const first = known.get(key);
          if (first === undefined) known.set(key, { previous, event: entry.event });
          else if (first.previous !== previous) {
            throw new Violation(
              LOGS,
              `${process.name} has ${key} after ${previous}, others after ${first.previous}`,
            );
          } else if (
            first.event !== entry.event &&
            JSON.stringify(first.event) !== JSON.stringify(entry.event)
          ) {
            throw new Violation(
              LOGS,
              `${process.name} has ${JSON.stringify(entry.event)} at ${key}, others ${JSON.stringify(first.event)}`,
            );
          }
          at.set(process, key);
        }
      },
    };
  },
};

export const equalStates: Invariant = {
  name: STATES,
  meaning: 'Nodes whose logs end at the same position have the same state, however they came to it.',
  kind: 'safety',
  watch(world) {
    const compare = () => {
      const states = new Map<string, { readonly name: string; readonly text: string }>();
      for (const { name, core } of world.processes) {
        const key = positionKey(core.position);
        const text = JSON.stringify(toSnapshot(core.state, core.position));
        const first = states.get(key);
        if (first === undefined) states.set(key, { name, text });
        else if (first.text !== text) {
          throw new Violation(STATES, `${first.name} and ${name} differ at ${key}:\n${first.text}\n${text}`);
        }
      }
    };
    let looks = 0;
    return {
      looked() {
        looks += 1;
        if (looks % LOOKS === 0) compare();
      },
      settled: compare,
    };
  },
};
