/** The master looks at what should run: after every change that may bear on it, and every so often. */
import { TIMES } from '../../shared/limits.js';
import { restartsAsWhole } from '../instances.js';
import { reconcile } from '../reconcile/reconcile.js';
import type { Ledger } from './ledger.js';
import type { LinkWatch } from './linkWatch.js';
import type { NodeContext } from './nodeContext.js';
import type { Instant } from './ports.js';

export class Reconciliation {
  readonly #context: NodeContext;
  readonly #ledger: Ledger;
  readonly #linkWatch: LinkWatch;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(context: NodeContext, ledger: Ledger, linkWatch: LinkWatch) {
    this.#context = context;
    this.#ledger = ledger;
    this.#linkWatch = linkWatch;
  }

  look({ monotonicMs, wallMs }: Instant): void {
    const { state, measured } = this.#context;
    const reign = this.#context.actingReign(monotonicMs);
    if (reign === null) return;
    if (!this.#context.isUnreconciled && monotonicMs - this.#lookedAt < TIMES.reconcileMs) return;
    this.#lookedAt = monotonicMs;
    let hasDecided = false;
    if (state.metaInstances.size > 0 || [...state.instances.values()].some(restartsAsWhole)) {
      const lostLinks = this.#linkWatch.lostLinks(monotonicMs);
      const events = reconcile({ state, now: wallMs, ...measured, lostLinks, reign: reign.epoch });
      this.#ledger.append(events);
      hasDecided = events.length > 0;
    }
    // A look is bounded: there may be more to decide.
    this.#context.isUnreconciled = hasDecided;
  }
}
