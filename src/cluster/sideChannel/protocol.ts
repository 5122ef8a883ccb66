/** What a call of the side channel carries. It comes from another node: of another version, or a lie, until it is read. */
import { z } from 'zod';
import type { Contribution as Gathered } from '../../control/sideChannel.js';
import { LIMITS } from '../../shared/limits.js';

/** What one rank contributes to a round. */
export type Contribution = Omit<Gathered, 'caller'>;

const count = z.int().min(0);
const blob = z.instanceof(Uint8Array).refine(({ length }) => length <= LIMITS.sideChannelBlobBytes);

const contribution = z.object({
  instanceId: z.string().min(1).max(LIMITS.idCharacters),
  attempt: count,
  round: count,
  rank: count,
  worldSize: count,
  blob,
});

/** Null when it is none. */
export function readContribution(body: unknown): Contribution | null {
  const read = contribution.safeParse(body);
  // The schema says what the type says, but for the brand of the id.
  return read.success ? (read.data as unknown as Contribution) : null;
}

/** The blobs of all ranks, or null when that is not what came. */
export function readBlobs(reply: unknown, worldSize: number): readonly Uint8Array[] | null {
  const read = z.object({ blobs: z.array(blob).length(worldSize) }).safeParse(reply);
  return read.success ? read.data.blobs : null;
}
