/** Who is at fault, in words and in the details of a fault. */
import { type ErrorCode, type Fault, ShoalError } from '../shared/errors.js';

/** Details of a fault of the collective: the rank at fault, and the name of its node where that is known. */
export function culprit(rank: number, node: string | null): NonNullable<Fault['details']> {
  return node === null ? { rank } : { rank, node };
}

/** Names of nodes by rank, for messages. */
export class RankNames {
  readonly #names: readonly string[];

  constructor(names: readonly string[] = []) {
    this.#names = names;
  }

  describe(rank: number): string {
    const name = this.#names[rank];
    return name === undefined ? `rank ${rank}` : `rank ${rank} (${name})`;
  }

  /** A fault of one rank. @param what it did, as the rest of a sentence */
  fault(code: ErrorCode, rank: number, what: string): ShoalError {
    return new ShoalError(code, `${this.describe(rank)} ${what}`, {
      details: culprit(rank, this.#names[rank] ?? null),
    });
  }
}
