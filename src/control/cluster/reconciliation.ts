/** The master looks at what should run: after every change that may bear on it, and every so often. */
import { TIMES } from '../../shared/limits.js';
import { reconcile } from '../reconcile/reconcile.js';
import type { Ledger } from './ledger.js';
import type { NodeContext } from './nodeContext.js';
import type { Instant } from './ports.js';

export class Reconciliation {
  readonly #context: NodeContext;
  readonly #ledger: Ledger;
  #lookedAt = Number.NEGATIVE_INFINITY;

  constructor(context: NodeContext, ledger: Ledger) {
    this.#context = context;
    this.#ledger = ledger;
  }

  look({ monotonicMs, wallMs }: Instant): void {
    const { state, measured } = this.#context;
    const reign = this.#context.actingReign(monotonicMs);
    if (reign === null || state.metaInstances.size === 0) return;
    if (!this.#context.isUnreconciled && monotonicMs - this.#lookedAt < TIMES.reconcileMs) return;
    this.#lookedAt = monotonicMs;
    this.#ledger.append(reconcile({ state, now: wallMs, ...measured, reign: reign.epoch }));
    this.#context.isUnreconciled = false;
  }
}
