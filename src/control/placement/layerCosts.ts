/** What the layers of a model cost on one machine: sums over the layers before each boundary. */
import type { CostParameters } from './costParameters.js';
import type { Machine } from './machines.js';
import { sumsAt } from './shardMemory.js';
import type { ModelShape } from './types.js';

const US_PER_MS = 1_000;

export interface LayerCosts {
  /** One decoded token through the layers before each boundary, in milliseconds: `[boundaries]`. */
  readonly decodeMs: Float64Array;
  /** One prefill chunk likewise. */
  readonly chunkMs: Float64Array;
  /** The output matrix, or a slice of it, for one row. */
  readonly headMs: number;
  /** Of a shard in each step. */
  readonly stepMs: number;
}

/**
 * Decoding reads the weights that one token uses and the attended KV cells once; a chunk is bound by matrix speed, or
 * by reading all weights, since its tokens use all experts together, where that takes longer.
 * @param parts in how many equal slices the layers, and the output matrix, are divided
 */
export function layerCosts(
  model: ModelShape,
  machine: Machine,
  boundaries: readonly number[],
  parameters: CostParameters,
  parts = 1,
): LayerCosts {
  const { layerReadBytes, layerOperations, headReadBytes, headOperations } = model.work;
  const { bytesPerMs, operationsPerMs } = machine;
  const overheadMs = parameters.layerOverheadUs / US_PER_MS;
  const readMs = (layer: number): number => (layerReadBytes[layer] ?? 0) / parts / bytesPerMs;
  const readAllMs = (layer: number): number => (model.weights.layerBytes[layer] ?? 0) / parts / bytesPerMs;
  const attendMs = (layer: number): number =>
    ((model.cache.cellBytes[layer] ?? 0) * parameters.attendedCells) / parts / bytesPerMs;
  const chunk = Math.min(parameters.chunkTokens, parameters.promptTokens);
  const computeMs = (layer: number): number =>
    ((layerOperations[layer] ?? 0) * chunk) / parts / operationsPerMs;
  return {
    decodeMs: sumsAt(boundaries, (layer) => readMs(layer) + attendMs(layer) + overheadMs),
    chunkMs: sumsAt(boundaries, (layer) => Math.max(readAllMs(layer), computeMs(layer)) + overheadMs),
    headMs: Math.max(headReadBytes / bytesPerMs, headOperations / operationsPerMs) / parts,
    stepMs: parameters.stepOverheadUs / US_PER_MS,
  };
}
