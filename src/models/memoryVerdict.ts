import { formatBytes } from '../shared/bytes.js';
import type { ModelListing } from './listing.js';

/** The listing, refused if even one full default context does not fit into so much memory. */
export function refuseTooLarge(listing: ModelListing, offeredBytes: number): ModelListing {
  const neededBytes = listing.memory?.totalBytes ?? 0;
  if (listing.refusal !== null || neededBytes <= offeredBytes) return listing;
  const refusal = `It needs ${formatBytes(neededBytes)} of memory, and this node offers ${formatBytes(offeredBytes)}.`;
  return { ...listing, refusal };
}
