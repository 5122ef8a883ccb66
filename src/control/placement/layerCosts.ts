/** What the layers of a model cost on one machine. */
import type { CostParameters } from './costParameters.js';
import type { Machine } from './machines.js';
import type { ModelShape } from './types.js';

const US_PER_MS = 1_000;

export interface LayerCosts {
  /** One decoded token through a layer, in milliseconds. */
  readonly decodeMs: (layer: number) => number;
  /** One prefill chunk likewise. */
  readonly chunkMs: (layer: number) => number;
  /** The output matrix, or a slice of it, for one row. */
  readonly headMs: number;
  /** Of a shard in each step. */
  readonly stepMs: number;
}

/**
 * Decoding reads the weights that one token uses and the attended KV cells once; a chunk is bound by matrix speed, or
 * by reading all weights, since its tokens use all experts together, where that takes longer. A graphics card is taken to
 * read KV cells as fast as weights, and to compute all formats alike.
 * @param parts in how many equal slices the layers, and the output matrix, are divided
 */
export function layerCosts(
  { work, weights, cache }: ModelShape,
  { bytesPerMs, operationsPerMs, isProcessor }: Machine,
  parameters: CostParameters,
  parts = 1,
): LayerCosts {
  const { bandwidthShare, attentionShare, operationsShare, operationsShares } = parameters;
  const overheadMs = parameters.layerOverheadUs / US_PER_MS;
  const chunk = Math.min(parameters.chunkTokens, parameters.promptTokens);
  const readsPerMs = parts * bytesPerMs * bandwidthShare;
  const attendsPerMs = parts * bytesPerMs * (isProcessor ? attentionShare : bandwidthShare);
  const formatShare = isProcessor ? operationsShares[work.weightType ?? ''] : undefined;
  const computesPerMs = parts * operationsPerMs * (formatShare ?? operationsShare);
  return {
    decodeMs: (layer) =>
      (work.layerReadBytes[layer] ?? 0) / readsPerMs +
      ((cache.cellBytes[layer] ?? 0) * parameters.attendedCells) / attendsPerMs +
      overheadMs,
    chunkMs: (layer) =>
      Math.max(
        (weights.layerBytes[layer] ?? 0) / readsPerMs,
        ((work.layerOperations[layer] ?? 0) * chunk) / computesPerMs,
      ) + overheadMs,
    headMs: Math.max(work.headReadBytes / readsPerMs, work.headOperations / computesPerMs),
    stepMs: parameters.stepOverheadUs / US_PER_MS,
  };
}
