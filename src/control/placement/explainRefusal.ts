/** Why a model cannot be placed, for people: for the whole, and for each node that is known or was asked for. */
import { formatBytes } from '../../shared/bytes.js';
import type { Fault } from '../../shared/errors.js';
import { slicesRefusal } from '../../shared/modelDivision.js';
import { type ChoiceParts, contextOptions, countsOf, oneContext } from './choose.js';
import { type Candidates, verdict } from './exclusions.js';
import { countOfNodes } from './explainPlacement.js';
import type { Machine, Machines } from './machines.js';
import { Network } from './network.js';
import { ShardSizes } from './shardMemory.js';
import type { NodeVerdict, PlacementRefusal, RefusalCode, ShardMemory } from './types.js';

export interface ExplainedRefusal extends ChoiceParts {
  readonly candidates: Candidates;
  readonly code: RefusalCode;
  readonly canFitLater: boolean;
}

export function explainRefusal(what: ExplainedRefusal): PlacementRefusal {
  const { code, canFitLater, candidates } = what;
  const later = canFitLater ? ' It would fit if all known nodes were there, linked and empty.' : '';
  const nodes = [...usableVerdicts(what), ...candidates.excluded];
  return { kind: 'refused', code, message: `${MESSAGES[code](what)}${later}`, canFitLater, nodes };
}

/** As the API answers it. */
export function placementFault({ code, message, canFitLater, nodes }: PlacementRefusal): Fault {
  return {
    code: 'placement_impossible',
    message,
    details: {
      cause: code,
      can_fit_later: canFitLater,
      nodes: nodes.map((node) => ({
        node_id: node.nodeId,
        name: node.name,
        code: node.code,
        reason: node.reason,
        offered_bytes: node.memoryOfferedBytes,
        free_bytes: node.memoryFreeBytes,
      })),
    },
  };
}

const MESSAGES: Readonly<Record<RefusalCode, (what: ExplainedRefusal) => string>> = {
  too_large: (what) => `${needs(what)}, and ${offers(what.machines)}.${divisionText(what)}`,
  cannot_be_cut: (what) => `${needs(what)}, and ${offers(what.machines)}. ${cutText(what)}`,
  cannot_be_sliced: (what) => `${needs(what)}, and ${offers(what.machines)}. ${sliceText(what)}`,
  too_few_nodes: ({ wish, machines }) => {
    const { least, most } = countsOf(wish, machines.all.length);
    return `${countOfNodes(least)} are asked for, and ${most} can be used.`;
  },
  unknown_nodes: ({ candidates }) => `No node is known by the id ${candidates.unknown.join(', ')}.`,
  not_connected: ({ wish }) =>
    wish.transport === 'Mesh'
      ? 'The nodes that could hold it are not all linked with each other, as Mesh needs.'
      : 'The nodes that could hold it are not linked in a ring: each must reach the next one, the last the first.',
  no_rdma: () => 'RDMA is required, and no nodes that could hold the model are linked by it.',
  no_nodes: () => 'No node can be used.',
};

function needs({ model, wish }: ExplainedRefusal): string {
  const context = contextOptions(model, wish).at(-1)!;
  const whole = new ShardSizes(model, oneContext(context, wish), [0, model.layers]).range(0, 1);
  return `${model.modelId} with a context of ${context} tokens needs ${partsOf(whole)} on one node, and more in all on several`;
}

function partsOf({ totalBytes, weightsBytes, cacheBytes, overheadBytes }: ShardMemory): string {
  return (
    `${formatBytes(totalBytes)} of memory (weights ${formatBytes(weightsBytes)}, ` +
    `KV cache ${formatBytes(cacheBytes)}, overhead ${formatBytes(overheadBytes)})`
  );
}

function offers({ all }: Machines): string {
  const free = all.map(({ freeBytes }) => freeBytes);
  const sum = formatBytes(free.reduce((total, bytes) => total + bytes, 0));
  if (all.length === 1) return `the only node that can be used has ${sum} free`;
  return `the ${all.length} nodes that can be used have ${sum} free in all, ${formatBytes(Math.max(...free))} at most on one`;
}

/** What is in the way besides the sum of memory. */
function divisionText({ model, wish, machines }: ExplainedRefusal): string {
  if (machines.all.length < 2) return '';
  if (!model.cuts.canBeCut) return ` It cannot be cut into shards: ${model.cuts.reason}`;
  if (wish.sharding === 'Tensor') return ' In equal slices, each node has to hold as much as every other.';
  return ` Its ${model.cuts.layers} layers can be cut at ${model.cuts.cuts.length} places, and no division fits each node.`;
}

function cutText({ model, wish }: ExplainedRefusal): string {
  if (!model.cuts.canBeCut) return `It cannot be cut into shards: ${model.cuts.reason}`;
  return `It can be cut into ${model.cuts.cuts.length + 1} shards at most, and ${wish.minNodes} are asked for.`;
}

function sliceText({ model, wish, machines }: ExplainedRefusal): string {
  const ranks = Math.max(2, countsOf(wish, machines.all.length).least);
  return `It cannot be divided into ${ranks} slices: ${slicesRefusal(model.slices, ranks) ?? ''}`;
}

function usableVerdicts(what: ExplainedRefusal): NodeVerdict[] {
  const { machines, wish, code } = what;
  const network = new Network(machines, wish);
  const isLinked = (index: number): boolean =>
    machines.all.some((_, other) => other !== index && network.way(index, other) !== null);
  return machines.all.map((machine, index) => {
    const { node } = machine;
    if (code === 'no_rdma' && !isLinked(index)) return verdict(node, 'no_rdma', 'has no link with RDMA');
    if (code === 'not_connected' && !isLinked(index)) {
      return verdict(node, 'not_connected', 'has no link to another node that can be used');
    }
    return memoryVerdict(what, machine);
  });
}

/** What a node could hold by itself. */
function memoryVerdict({ model, wish }: ExplainedRefusal, { node, freeBytes }: Machine): NodeVerdict {
  const size = oneContext(contextOptions(model, wish).at(-1)!, wish);
  const free = `${formatBytes(freeBytes)} of ${formatBytes(node.memoryOfferedBytes)} are free`;
  const whole = new ShardSizes(model, size, [0, model.layers]).range(0, 1);
  if (whole.totalBytes <= freeBytes) return verdict(node, 'not_enough', `could hold all of it: ${free}`);
  if (!model.cuts.canBeCut) {
    return verdict(node, 'too_little_memory', `cannot hold the ${formatBytes(whole.totalBytes)}: ${free}`);
  }
  const boundaries = [0, ...model.cuts.cuts, model.cuts.layers];
  const most = mostLayers(new ShardSizes(model, size, boundaries), boundaries, freeBytes);
  if (most === 0) return verdict(node, 'too_little_memory', `cannot hold even the smallest shard: ${free}`);
  return verdict(node, 'not_enough', `can hold ${most} of ${model.layers} layers: ${free}`);
}

function mostLayers(sizes: ShardSizes, boundaries: readonly number[], freeBytes: number): number {
  let most = 0;
  let from = 0;
  for (let to = 1; to < boundaries.length; to += 1) {
    while (from < to && sizes.rangeBytes(from, to) > freeBytes) from += 1;
    most = Math.max(most, boundaries[to]! - boundaries[from]!);
  }
  return most;
}
