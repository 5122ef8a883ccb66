/** What an invariant is: a promise in one sentence, and somebody who watches a world and says when it is broken. */
import type { CommandAnswer } from '../../../src/control/cluster/commands.js';
import type { NodeInput, NodeOutput } from '../../../src/control/cluster/ports.js';
import type { Fault } from '../../../src/shared/errors.js';
import type { TaskId } from '../../../src/shared/ids.js';
import type { Process } from '../machine.js';
import type { IssuedCommand } from '../user.js';
import type { World } from '../world.js';

export interface Invariant {
  readonly name: string;
  readonly meaning: string;
  /** Safety: something bad never happens. Liveness: something good does, within a bound. */
  readonly kind: 'safety' | 'liveness';
  watch(world: World): InvariantWatch;
}

export interface InvariantWatch {
  started?(process: Process): void;
  crashed?(process: Process): void;
  /** After the core has taken an input, before its outputs are carried out. */
  handled?(process: Process, input: NodeInput, outputs: readonly NodeOutput[]): void;
  /** The client of a request gets tokens of its answer: number `from` and those after it. */
  tokensCame?(process: Process, taskId: TaskId, from: number, count: number): void;
  commandIssued?(issued: IssuedCommand): void;
  commandEnded?(process: Process, key: string, answer: CommandAnswer | { readonly fault: Fault }): void;
  /** Several times a virtual second. */
  looked?(): void;
  /** The faults are over since a bound; nobody wants anything. */
  settled?(): void;
}

export class Violation extends Error {
  readonly invariant: string;

  constructor(invariant: string, message: string) {
    super(message);
    this.name = 'Violation';
    this.invariant = invariant;
  }
}
