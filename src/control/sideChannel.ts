/**
 * How the master gathers the blobs of an instance's ranks: one round after the other, each answered to all once every
 * rank has contributed. A contribution may be repeated, since its answer may be lost on the way; the last full round is
 * kept for that. Ranks of an earlier attempt at the instance get no say in a later one.
 */
import type { Fault } from '../shared/errors.js';
import type { InstanceId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';

export interface Contribution {
  readonly instanceId: InstanceId;
  /** Counts the attempts at this instance; a later one ends those before it. */
  readonly attempt: number;
  /** From 0, for each attempt. */
  readonly round: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly blob: Uint8Array;
  /** Names the call that waits for the answer. */
  readonly caller: string;
}

export interface GatherAnswer {
  readonly caller: string;
  readonly result:
    | { readonly kind: 'gathered'; readonly blobs: readonly Uint8Array[] }
    | { readonly kind: 'refused'; readonly fault: Fault };
}

interface Gathering {
  readonly attempt: number;
  readonly worldSize: number;
  round: number;
  blobs: Map<number, Uint8Array>;
  /** By rank: the newest call of each that waits. */
  readonly callers: Map<number, string>;
  /** The blobs of the round before. */
  last: readonly Uint8Array[] | null;
}

export class SideChannelGatherings {
  readonly #gatherings = new Map<InstanceId, Gathering>();

  /** Instances whose ranks meet now, or have met. */
  get size(): number {
    return this.#gatherings.size;
  }

  /** @returns the answers that follow, to this call and to others; none when it has to wait */
  contribute(contribution: Contribution): readonly GatherAnswer[] {
    const malformed = flawOf(contribution);
    if (malformed !== null) return [refused(contribution.caller, 'invalid_request', malformed)];
    const { instanceId, attempt, worldSize, round, caller } = contribution;
    const present = this.#gatherings.get(instanceId);
    if (present !== undefined && attempt < present.attempt) {
      return [refused(caller, 'cancelled', LATER)];
    }
    const ended = present !== undefined && attempt > present.attempt ? this.drop(instanceId, LATER) : [];
    const gathering = this.#gatherings.get(instanceId) ?? this.#begin(contribution);
    if (gathering === null) {
      return [
        refused(caller, 'queue_full', `the ranks of ${LIMITS.sideChannelInstances} instances meet already`),
      ];
    }
    if (gathering.worldSize !== worldSize) {
      return [...ended, refused(caller, 'invalid_request', `the instance has ${gathering.worldSize} ranks`)];
    }
    if (round === gathering.round - 1) return [...ended, this.#repeat(gathering, contribution)];
    if (round !== gathering.round) {
      return [...ended, refused(caller, 'invalid_request', `round ${gathering.round} is open, not ${round}`)];
    }
    return [...ended, ...this.#add(gathering, contribution)];
  }

  /** Ranks that have yet to come to the open round. */
  missing(instanceId: InstanceId): readonly number[] {
    const gathering = this.#gatherings.get(instanceId);
    const ranks = Array.from({ length: gathering?.worldSize ?? 0 }, (_, rank) => rank);
    return ranks.filter((rank) => gathering?.blobs.has(rank) === false);
  }

  /** The call waits no longer. What its rank contributed stays. */
  leave(instanceId: InstanceId, caller: string): void {
    const callers = this.#gatherings.get(instanceId)?.callers;
    for (const [rank, waiting] of callers ?? []) if (waiting === caller) callers?.delete(rank);
  }

  /**
   * The instance is deleted or tried anew: what is pending is over.
   * @param reason for those that wait
   */
  drop(instanceId: InstanceId, reason: string): readonly GatherAnswer[] {
    return this.#end(instanceId, { code: 'cancelled', message: reason });
  }

  /** Whatever is not current is over. */
  dropAll(
    isCurrent: (instanceId: InstanceId, attempt: number) => boolean,
    fault: Fault,
  ): readonly GatherAnswer[] {
    return [...this.#gatherings].flatMap(([instanceId, { attempt }]) =>
      isCurrent(instanceId, attempt) ? [] : this.#end(instanceId, fault),
    );
  }

  #end(instanceId: InstanceId, fault: Fault): GatherAnswer[] {
    const gathering = this.#gatherings.get(instanceId);
    this.#gatherings.delete(instanceId);
    return [...(gathering?.callers.values() ?? [])].map((caller) => ({
      caller,
      result: { kind: 'refused', fault },
    }));
  }

  /** A new master does not know the rounds before: it takes up the one that it is asked for first. */
  #begin({ instanceId, attempt, worldSize, round }: Contribution): Gathering | null {
    if (this.#gatherings.size >= LIMITS.sideChannelInstances) return null;
    const gathering = { attempt, worldSize, round, blobs: new Map(), callers: new Map(), last: null };
    this.#gatherings.set(instanceId, gathering);
    return gathering;
  }

  #repeat({ last }: Gathering, { rank, blob, caller }: Contribution): GatherAnswer {
    if (last === null || !isSame(last[rank]!, blob)) return refused(caller, 'invalid_request', OTHER_BLOB);
    return { caller, result: { kind: 'gathered', blobs: last } };
  }

  #add(gathering: Gathering, { rank, blob, caller }: Contribution): GatherAnswer[] {
    const earlier = gathering.blobs.get(rank);
    // Nobody has seen the open round: a rank whose process was started anew, and whose call ended with it, is heard.
    const isWaiting = gathering.callers.has(rank);
    if (isWaiting && earlier !== undefined && !isSame(earlier, blob)) {
      return [refused(caller, 'invalid_request', OTHER_BLOB)];
    }
    gathering.blobs.set(rank, blob);
    const replaced = gathering.callers.get(rank);
    gathering.callers.set(rank, caller);
    const answers =
      replaced === undefined || replaced === caller
        ? []
        : [refused(replaced, 'cancelled', 'the same rank has asked again')];
    if (gathering.blobs.size < gathering.worldSize) return answers;
    const blobs = Array.from({ length: gathering.worldSize }, (_, index) => gathering.blobs.get(index)!);
    for (const waiting of gathering.callers.values()) {
      answers.push({ caller: waiting, result: { kind: 'gathered', blobs } });
    }
    gathering.callers.clear();
    gathering.blobs = new Map();
    gathering.last = blobs;
    gathering.round += 1;
    return answers;
  }
}

const LATER = 'a later attempt at the instance has begun';
const OTHER_BLOB = 'the rank has contributed another blob to this round';

function flawOf({ attempt, round, rank, worldSize, blob }: Contribution): string | null {
  const isCount = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (!isCount(attempt) || !isCount(round)) return 'attempt and round count from 0';
  if (!isCount(worldSize) || worldSize < 1 || worldSize > LIMITS.shardsPerInstance) {
    return `there can be no ${worldSize} ranks`;
  }
  if (!isCount(rank) || rank >= worldSize) return `there is no rank ${rank} of ${worldSize}`;
  if (blob.length > LIMITS.sideChannelBlobBytes) {
    return `a blob of ${blob.length} bytes is over the limit of ${LIMITS.sideChannelBlobBytes}`;
  }
  return null;
}

function refused(caller: string, code: Fault['code'], message: string): GatherAnswer {
  return { caller, result: { kind: 'refused', fault: { code, message } } };
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((value, index) => value === b[index]);
}
