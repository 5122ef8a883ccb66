/** What was chosen and why, for people: for the whole, and for each node that is known. */
import { formatBytes } from '../../shared/bytes.js';
import { ENGINE } from '../../shared/limits.js';
import { slicesRefusal } from '../../shared/modelDivision.js';
import { type ChoiceParts, countsOf } from './choose.js';
import { type Candidates, verdict } from './exclusions.js';
import { freeBytesOf } from './machines.js';
import type { NodeVerdict, PlacedShard, Placement, PlacementWish } from './types.js';

type Placed = Pick<Placement, 'contextTokens' | 'sequences' | 'cacheCells' | 'shards' | 'prediction'>;

export interface ExplainedPlacement extends ChoiceParts {
  readonly candidates: Candidates;
  readonly placed: Placed;
}

export function explainPlacement(what: ExplainedPlacement): Pick<Placement, 'explanation' | 'nodes'> {
  return { explanation: explanationOf(what), nodes: verdictsOf(what) };
}

function explanationOf({ model, wish, machines, parameters, placed }: ExplainedPlacement): string {
  const { shards, prediction, contextTokens, cacheCells } = placed;
  const parts = [
    `${model.modelId} goes to ${countOfNodes(shards.length)}, ${reasonForCount(wish, shards.length)}.`,
  ];
  if (shards.length === 1 && wish.sharding === 'Tensor' && machines.all.length > 1) {
    const refusal = slicesRefusal(model.slices, 2);
    parts.push(
      refusal === null
        ? 'Slices over more nodes would be slower, or do not fit.'
        : `It cannot be divided into two slices: ${refusal}`,
    );
  }
  const isGuess = prediction.isMeasured
    ? ''
    : ' (the speed of a node or link is assumed, it was not measured)';
  parts.push(
    `Predicted: ${milliseconds(prediction.tokenMs)} a token, ${milliseconds(prediction.firstTokenMs)} to the first ` +
      `token of a prompt of ${parameters.promptTokens}${isGuess}.`,
  );
  if (shards.length > 1 && wish.sharding === 'Pipeline') {
    parts.push(
      `With as many requests at once as nodes, a step every ${milliseconds(prediction.longestStageMs)}.`,
    );
  }
  if (wish.contextTokens === null && contextTokens < usualContext(model.trainedContextTokens)) {
    parts.push(`Memory is short: the context is ${contextTokens} tokens.`);
  }
  const contexts = Math.floor(cacheCells / contextTokens);
  parts.push(`The KV cache holds ${contexts === 1 ? 'one full context' : `${contexts} full contexts`}.`);
  return parts.join(' ');
}

function reasonForCount(wish: PlacementWish, count: number): string {
  if (wish.nodeIds !== null) return 'as asked for by name';
  if (countsOf(wish, count).least >= count && count > 1) return 'as many as were asked for';
  if (count > 1 && (wish.preferSpeed || wish.sharding === 'Tensor')) return 'where it is fastest';
  return count === 1 ? 'the fastest that it fits on' : 'the fewest that it fits on';
}

function verdictsOf({ model, wish, machines, candidates, placed }: ExplainedPlacement): NodeVerdict[] {
  const byNode = new Map(placed.shards.map((shard) => [shard.nodeId, shard]));
  const verdicts = machines.all.map(({ node }) => {
    const shard = byNode.get(node.nodeId);
    if (shard === undefined) return verdict(node, 'not_needed', 'is not needed: the nodes chosen suffice');
    const part =
      wish.sharding === 'Tensor' && placed.shards.length > 1
        ? `one of ${placed.shards.length} slices`
        : `layers ${shard.startLayer} to ${shard.endLayer - 1} of ${model.layers}`;
    const files = node.hasModelFiles ? '' : '; the model has to be fetched first';
    return verdict(node, 'used', `takes ${part}: ${memoryText(shard, freeBytesOf(node))}${files}`);
  });
  return [...verdicts, ...candidates.excluded];
}

function memoryText({ memory }: PlacedShard, freeBytes: number): string {
  return `${formatBytes(memory.totalBytes)} of the ${formatBytes(freeBytes)} that are free`;
}

function usualContext(trainedContextTokens: number | null): number {
  return Math.min(ENGINE.contextTokens, trainedContextTokens ?? ENGINE.contextTokens);
}

export function countOfNodes(count: number): string {
  return count === 1 ? '1 node' : `${count} nodes`;
}

function milliseconds(value: number): string {
  return `${value >= 100 ? Math.round(value) : value.toFixed(1)} ms`;
}
