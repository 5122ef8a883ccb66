/**
 * What the cost model takes for given, all in one place so that it can be calibrated (`bench/placement/prediction` and
 * `bench/sharding` compare the prediction with what is measured; docs/placement.md tells what each was fitted to). Speeds
 * of nodes and links are not here: they are measured by the nodes.
 */
import { ENGINE } from '../../shared/limits.js';

export interface CostParameters {
  /** Prompt and answer of the request that candidates are compared by, in tokens. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Rows of one prefill step; several chunks are under way in a pipeline at once. */
  readonly chunkTokens: number;
  /** Cells that attention reads for each token: the engine rounds up to a multiple of 256. */
  readonly attendedCells: number;
  /**
   * How fast decoding reads weights, as a share of the measured bandwidth. More than 1: what a node measures is a whole step
   * of a model with attention and waits in it, for which there are numbers of their own here.
   */
  readonly bandwidthShare: number;
  /** How fast attention reads KV cells, as a share of the measured bandwidth: a processor is bound by computing there. */
  readonly attentionShare: number;
  /** What prefill reaches of the measured matrix speed: 0 to 1. */
  readonly operationsShare: number;
  /** The same on a processor, for weights mostly in one of these formats: each has kernels of its own. */
  readonly operationsShares: Readonly<Record<string, number>>;
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
  /**
   * What a single stream may lose for the sake of many: so much of its tokens' time on the way through the stages, and so
   * much of the request's while the chunks of the prompt wait for the slowest stage.
   */
  readonly balanceTokenShare: number;
  readonly balanceRequestShare: number;
}

export const COST_PARAMETERS: CostParameters = {
  promptTokens: 512,
  answerTokens: 256,
  chunkTokens: ENGINE.prefillChunkTokens,
  attendedCells: 768,
  bandwidthShare: 1.1,
  attentionShare: 0.2,
  operationsShare: 0.7,
  operationsShares: { q4_0: 0.86, q4_K: 0.89, q8_0: 0.7, f16: 0.28 },
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
  balanceTokenShare: 0.01,
  balanceRequestShare: 0.05,
};
