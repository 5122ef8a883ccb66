/** All reconcilers, one after the other and again, until none has anything to say or the bound of one look is reached. */
import { LIMITS } from '../../shared/limits.js';
import { apply } from '../apply.js';
import type { ControlEvent } from '../events.js';
import type { ReconcileInput, Reconciler } from './contract.js';
import { doubleBooking } from './doubleBooking.js';
import { instanceHealth } from './instanceHealth.js';
import { metaInstances } from './metaInstances.js';

const RECONCILERS: readonly Reconciler[] = [instanceHealth, doubleBooking, metaInstances];

export function reconcile(input: ReconcileInput): ControlEvent[] {
  const events: ControlEvent[] = [];
  let { state } = input;
  for (let pass = 0; pass < LIMITS.reconcilePasses; pass += 1) {
    const before = events.length;
    for (const reconciler of RECONCILERS) {
      for (const event of reconciler({ ...input, state })) {
        events.push(event);
        state = apply(state, event);
      }
    }
    if (events.length === before) break;
  }
  return events;
}
