/** What the tests of this folder share: pulses, epochs, and a log with a history. */
import type { NodeId } from '../../shared/ids.js';
import type { ControlEvent } from '../events.js';
import { NODE } from '../testing.js';
import { ControlLog } from './controlLog.js';
import type { Pulse } from './messages.js';
import { type Epoch, ORIGIN } from './position.js';

export const epoch = (term: number, nodeId: NodeId = NODE): Epoch => ({ term, nodeId });

/** The first pulse of a node that follows nobody. */
export function pulse(said: Partial<Pulse> = {}): Pulse {
  return {
    kind: 'Pulse',
    incarnation: 1,
    counter: 1,
    echo: 0,
    role: 'joining',
    following: null,
    claims: [],
    position: ORIGIN,
    missing: [],
    ...said,
  };
}

/** A log with these events, each in the term that stands beside it. */
export function logOf(history: readonly (readonly [term: number, event: ControlEvent])[]): ControlLog {
  const log = new ControlLog();
  for (const [term, event] of history) log.append(epoch(term), event);
  return log;
}
