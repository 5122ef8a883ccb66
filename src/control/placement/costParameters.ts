/**
 * What the cost model takes for given, all in one place so that it can be calibrated (`bench/sharding` compares the
 * prediction with what is measured). Speeds of nodes and links are not here: they are measured by the nodes.
 */
import { ENGINE } from '../../shared/limits.js';

export interface CostParameters {
  /** Prompt and answer of the request that candidates are compared by, in tokens. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Rows of one prefill step; several chunks are under way in a pipeline at once. */
  readonly chunkTokens: number;
  /** Cells that attention reads for each token. */
  readonly attendedCells: number;
  /** What decoding reaches of the measured memory bandwidth, and prefill of the measured matrix speed: 0 to 1. */
  readonly bandwidthShare: number;
  readonly operationsShare: number;
  /** Of each layer in each step: starts and waits between the kernels, in microseconds. */
  readonly layerOverheadUs: number;
  /** Of each shard in each step: schedule, graph, sampling, in microseconds. */
  readonly stepOverheadUs: number;
  /** Of each message between shards beside the way itself, both ends together, in microseconds. */
  readonly hopOverheadUs: number;
  /** One number of a hidden state on its way, in bytes. */
  readonly hiddenNumberBytes: number;
  /** A drawn token on its way from the last shard to the first, in bytes. */
  readonly tokenMessageBytes: number;
  /** Where a node has not measured itself, or a link: slow enough not to be preferred to measured ones. */
  readonly assumedMemoryBytesPerSecond: number;
  readonly assumedOperationsPerSecond: number;
  readonly assumedRoundTripUs: number;
  readonly assumedLinkBytesPerSecond: number;
  /** A choice whose nodes all lack the model's files counts as slower by this share; in proportion for a part of them. */
  readonly missingFilesShare: number;
}

export const COST_PARAMETERS: CostParameters = {
  promptTokens: 512,
  answerTokens: 256,
  chunkTokens: ENGINE.prefillChunkTokens,
  attendedCells: 512,
  bandwidthShare: 0.75,
  operationsShare: 0.8,
  layerOverheadUs: 10,
  stepOverheadUs: 200,
  hopOverheadUs: 60,
  hiddenNumberBytes: 4,
  tokenMessageBytes: 64,
  assumedMemoryBytesPerSecond: 10e9,
  assumedOperationsPerSecond: 50e9,
  assumedRoundTripUs: 2_000,
  assumedLinkBytesPerSecond: 50e6,
  missingFilesShare: 0.05,
};
