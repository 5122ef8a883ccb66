/** Where an instance goes, or why it cannot go anywhere, node by node (R34, R36 to R40). */
import { type Choice, type ChoiceParts, choose } from './choose.js';
import { COST_PARAMETERS, type CostParameters } from './costParameters.js';
import { asIfEmpty, type Candidates, candidatesOf } from './exclusions.js';
import { explainPlacement } from './explainPlacement.js';
import { explainRefusal } from './explainRefusal.js';
import { Machines } from './machines.js';
import { Network } from './network.js';
import { refusalCode } from './refusalCode.js';
import type { Placement, PlacementRefusal, PlacementRequest } from './types.js';

/** The same for the same nodes and links in whatever order they are given. */
export function place(
  request: PlacementRequest,
  parameters: CostParameters = COST_PARAMETERS,
): Placement | PlacementRefusal {
  const { model, wish, nodes, links } = request;
  const candidates = candidatesOf(nodes, wish);
  const machines = Machines.of(candidates.usable, links, parameters);
  const parts = { model, machines, wish, parameters };
  const isKnown = candidates.unknown.length === 0;
  const choice = isKnown ? choose(parts) : null;
  if (choice !== null) return placementOf(parts, candidates, choice);
  const code = refusalCode(parts, candidates);
  const canFitLater = isKnown && fitsEmptyCluster(request, parameters);
  return explainRefusal({ ...parts, candidates, code, canFitLater });
}

/** Would it fit if all known nodes were there, linked and empty? RDMA counts where it was ever seen. */
function fitsEmptyCluster(
  { model, wish, nodes, links }: PlacementRequest,
  parameters: CostParameters,
): boolean {
  const { usable } = candidatesOf(asIfEmpty(nodes), wish);
  const machines = wish.requireRdma
    ? Machines.of(
        usable,
        links.map((link) => ({ ...link, isConnected: true })),
        parameters,
      )
    : Machines.joined(usable, parameters);
  return choose({ model, wish, parameters, machines }) !== null;
}

function placementOf(parts: ChoiceParts, candidates: Candidates, { solution, size }: Choice): Placement {
  const { wish, machines } = parts;
  const { order, tokenMs, longestStageMs, firstTokenMs, requestMs } = solution;
  const shards = solution.shards.map((shard, rank) => ({
    rank,
    nodeId: machines.all[order[rank]!]!.node.nodeId,
    ...shard,
  }));
  const isMeasured =
    order.every((index) => machines.all[index]!.isMeasured) &&
    new Network(machines, wish).needed(order).every((way) => way?.isMeasured === true);
  const prediction = { tokenMs, longestStageMs, firstTokenMs, requestMs, isMeasured };
  const placed = { ...size, shards, prediction };
  const explained = explainPlacement({ ...parts, candidates, placed });
  return { kind: 'placed', sharding: wish.sharding, transport: wish.transport, ...placed, ...explained };
}
