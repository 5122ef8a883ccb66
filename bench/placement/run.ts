/**
 * Placement: how long a decision takes, and what it gains over layers in proportion to memory. Both divisions have the
 * same nodes in the same order, and both times are the cost model's. `node dist/bench/placement/run.js`.
 */
import { COST_PARAMETERS } from '../../src/control/placement/costParameters.js';
import { place } from '../../src/control/placement/place.js';
import { previews } from '../../src/control/placement/previews.js';
import { freeOf, type Part, requestMsOf } from '../../src/control/placement/testing/bruteForce.js';
import type {
  ModelShape,
  Placement,
  PlacementRequest,
  PlacementWish,
} from '../../src/control/placement/types.js';
import { drawFrom, linksOf, modelOf, nodesOf } from './clusters.js';

const ROUNDS = 21;
const CLUSTERS = 500;
const WISH: PlacementWish = {
  sharding: 'Pipeline',
  transport: 'Ring',
  minNodes: null,
  nodeIds: null,
  requireRdma: false,
  preferSpeed: false,
  contextTokens: 4_096,
  sequences: 4,
};
const SMALL = modelOf(32, 4.5, 4_096);
const LARGE = modelOf(80, 40, 8_192);
const GIANT = modelOf(126, 230, 16_384);

printSpeed();
printGain();

function printSpeed(): void {
  console.log('| nodes | model | asked for | answer | p50 ms | max ms | processor ms |');
  console.log('|---|---|---|---|---|---|---|');
  const cases: readonly [number, ModelShape, string, Partial<PlacementWish>][] = [
    [6, LARGE, 'fewest', {}],
    [6, LARGE, '6 nodes', { minNodes: 6 }],
    [100, SMALL, 'fewest', {}],
    [100, LARGE, 'fewest', {}],
    [100, GIANT, 'fewest', {}],
    [100, GIANT, 'fewest, Mesh', { transport: 'Mesh' }],
    [100, LARGE, 'fastest', { preferSpeed: true }],
    [100, LARGE, 'slices', { sharding: 'Tensor' }],
    [100, LARGE, '16 nodes', { minNodes: 16 }],
    [100, modelOf(126, 2_000, 16_384), 'fewest', {}],
    [100, modelOf(126, 2_000, 16_384), 'RDMA', { requireRdma: true }],
  ];
  for (const [count, model, asked, wish] of cases) {
    const requests = Array.from({ length: ROUNDS }, (_, round) =>
      requestOf(count, model, [8, 16, 24], { ...WISH, ...wish }, round),
    );
    const times: number[] = [];
    const answers = new Set<string>();
    const used = process.cpuUsage();
    for (let round = 0; round < ROUNDS; round += 1) {
      const request = requests[round]!;
      const started = performance.now();
      const result = place(request);
      times.push(performance.now() - started);
      answers.add(result.kind === 'placed' ? `${result.shards.length}` : result.code);
    }
    printRow([`${count}`, model.modelId, asked, [...answers].sort().join(', ')], times, used);
  }
  const used = process.cpuUsage();
  const times = Array.from({ length: 5 }, (_, round) => {
    const request = requestOf(100, LARGE, [8, 16, 24], WISH, round);
    const started = performance.now();
    for (const preview of previews(request))
      if (preview.result.nodes.length === 0) throw new Error('no verdicts');
    return performance.now() - started;
  });
  printRow(['100', LARGE.modelId, 'previews', 'all'], times, used);
}

/** @param before processor time at the beginning of all rounds */
function printRow(cells: readonly string[], times: readonly number[], before: NodeJS.CpuUsage): void {
  const { user, system } = process.cpuUsage(before);
  const numbers = [quantile(times, 0.5), Math.max(...times), (user + system) / 1_000 / times.length];
  console.log(`| ${[...cells, ...numbers.map((value) => value.toFixed(1))].join(' | ')} |`);
}

/** On clusters of unequal nodes whose memory is not all needed: where it is, there is nothing to choose. */
function printGain(): void {
  console.log(
    '\n| nodes | clusters | token p10 | token median | token p90 | request median | proportional does not fit |',
  );
  console.log('|---|---|---|---|---|---|---|');
  for (const count of [2, 3, 4, 6]) {
    const tokens: number[] = [];
    const requests: number[] = [];
    let misfits = 0;
    for (let seed = 0; seed < CLUSTERS; seed += 1) {
      const wish = { ...WISH, minNodes: count };
      const request = requestOf(count, LARGE, [16, 24, 32, 48, 64, 96], wish, seed);
      const ours = place(request);
      if (ours.kind === 'refused') continue;
      const theirs = proportional(request, ours);
      if (theirs === null) {
        misfits += 1;
        continue;
      }
      const theirMs = requestMsOf(request, theirs, COST_PARAMETERS);
      requests.push(theirMs / ours.prediction.requestMs);
      tokens.push(tokenMsOf(request, theirs) / ours.prediction.tokenMs);
    }
    const all = requests.length + misfits;
    const cells = [count, all, ...[0.1, 0.5, 0.9].map((at) => quantile(tokens, at).toFixed(2))];
    console.log(
      `| ${cells.join(' | ')} | ${quantile(requests, 0.5).toFixed(2)} | ${((100 * misfits) / all).toFixed(0)} % |`,
    );
  }
}

/** Layers in proportion to free memory, one at least, on the same nodes in the same order; null when it does not fit. */
function proportional(request: PlacementRequest, { shards }: Placement): Part[] | null {
  const { layers, weights, cache, overhead } = request.model;
  const nodes = shards.map(({ nodeId }) => request.nodes.find((node) => node.nodeId === nodeId)!);
  const all = nodes.reduce((sum, node) => sum + freeOf(node), 0);
  let before = 0;
  const parts = nodes.map((node, rank) => {
    const first = Math.max(rank, Math.round((before / all) * layers));
    before += freeOf(node);
    return { node, first, end: Math.min(layers, Math.max(first + 1, Math.round((before / all) * layers))) };
  });
  const cells = request.wish.contextTokens!;
  const besideBytes =
    weights.embeddingBytes + overhead.fixedBytes + overhead.activationBytes + cells * overhead.bytesPerCell;
  const fits = parts.every(({ node, first, end }) => {
    const bytes = (end - first) * (weights.layerBytes[0]! + cache.cellBytes[0]! * cells);
    return bytes + besideBytes <= freeOf(node);
  });
  return fits ? parts : null;
}

/** From the time of a request with one token more. */
function tokenMsOf(request: PlacementRequest, parts: readonly Part[]): number {
  const longer = { ...COST_PARAMETERS, answerTokens: COST_PARAMETERS.answerTokens + 1 };
  return requestMsOf(request, parts, longer) - requestMsOf(request, parts, COST_PARAMETERS);
}

function requestOf(
  count: number,
  model: ModelShape,
  gigabytes: readonly number[],
  wish: PlacementWish,
  seed: number,
): PlacementRequest {
  const draw = drawFrom(seed * 1_000 + count);
  const nodes = nodesOf(count, gigabytes, draw);
  return { model, nodes, links: linksOf(nodes, draw), wish };
}

function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
