/** How much of a model's context fits into the memory that this node offers. Pure. */
import type { ModelCard } from '../models/card.js';
import type { MemoryEstimate } from '../models/listing.js';
import { estimateMemory } from '../models/memory.js';
import { formatBytes } from '../shared/bytes.js';
import { ShoalError } from '../shared/errors.js';
import { ENGINE } from '../shared/limits.js';

export interface FitWish {
  /** Context of one sequence in tokens; null = the default, at most what the model was trained for. */
  readonly contextTokens: number | null;
  /** Sequences side by side; null = the default. */
  readonly sequences: number | null;
}

export interface Fit {
  readonly contextTokens: number;
  readonly sequences: number;
  readonly cacheCells: number;
  readonly memory: MemoryEstimate;
}

/**
 * The wished context with room for one full context at least, and for as many more, up to one for each sequence, as
 * stay within `ENGINE.cacheMemoryShare` of the memory. A context that was not asked for is halved until it fits; one
 * that was asked for is refused.
 * @throws {ShoalError} `placement_impossible` with what is needed and what there is
 */
export function fitModel(card: ModelCard, availableBytes: number, wish: FitWish): Fit {
  const sequences = wish.sequences ?? ENGINE.sequences;
  const trained = card.contextTokens ?? ENGINE.contextTokens;
  let contextTokens = wish.contextTokens ?? Math.min(ENGINE.contextTokens, trained);
  for (;;) {
    for (let contexts = sequences; contexts >= 1; contexts -= 1) {
      const cacheCells = contextTokens * contexts;
      const memory = estimateMemory(card, { contextTokens, sequences, cacheCells });
      const isModest = contexts === 1 || memory.cacheBytes <= availableBytes * ENGINE.cacheMemoryShare;
      if (isModest && memory.totalBytes <= availableBytes) {
        return { contextTokens, sequences, cacheCells, memory };
      }
    }
    if (wish.contextTokens !== null || contextTokens / 2 < ENGINE.leastContextTokens) break;
    contextTokens = Math.floor(contextTokens / 2);
  }
  const needed = estimateMemory(card, { contextTokens, sequences, cacheCells: contextTokens });
  throw new ShoalError(
    'placement_impossible',
    `${card.name} with a context of ${contextTokens} tokens needs ${formatBytes(needed.totalBytes)} of memory ` +
      `(weights ${formatBytes(needed.weightsBytes)}, KV cache ${formatBytes(needed.cacheBytes)}, ` +
      `overhead ${formatBytes(needed.overheadBytes)}), and this node offers ${formatBytes(availableBytes)}`,
    { details: { needed_bytes: needed.totalBytes, offered_bytes: availableBytes } },
  );
}
