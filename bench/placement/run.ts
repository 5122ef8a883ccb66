/**
 * Placement: how long a decision takes, and what it gains over layers in proportion to memory. Both divisions have the
 * same nodes in the same order, and both times are the cost model's. Each kind of question is asked in a process of its
 * own, whose first answer has the compiling of the code in it. `node dist/bench/placement/run.js`.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
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
import { median } from '../median.js';
import { drawFrom, linksOf, modelOf, nodesOf, WISH } from './clusters.js';

const ROUNDS = 31;
/** Of each case: of their first answers, the median counts. */
const PROCESSES = 3;
const CLUSTERS = 500;
const SMALL = modelOf(32, 4.5, 4_096);
const LARGE = modelOf(80, 40, 8_192);
const GIANT = modelOf(126, 230, 16_384);
const ENORMOUS = modelOf(126, 2_000, 16_384);

const CASES: readonly (readonly [nodes: number, ModelShape, asked: string, Partial<PlacementWish>])[] = [
  [6, LARGE, 'fewest', {}],
  [6, LARGE, '6 nodes', { minNodes: 6 }],
  [100, SMALL, 'fewest', {}],
  [100, LARGE, 'fewest', {}],
  [100, GIANT, 'fewest', {}],
  [100, GIANT, 'fewest, Mesh', { transport: 'Mesh' }],
  [100, LARGE, 'fastest', { preferSpeed: true }],
  [100, GIANT, 'fastest, any context', { preferSpeed: true, contextTokens: null }],
  [100, LARGE, 'slices', { sharding: 'Tensor' }],
  [100, LARGE, '16 nodes', { minNodes: 16 }],
  [100, GIANT, '32 nodes', { minNodes: 32 }],
  [100, ENORMOUS, 'fewest', {}],
  [100, ENORMOUS, 'fewest, any context', { contextTokens: null }],
  [100, ENORMOUS, 'slices', { sharding: 'Tensor' }],
  [100, ENORMOUS, 'RDMA', { requireRdma: true }],
];

/** What one process has seen of a case. */
interface Seen {
  readonly answers: readonly string[];
  /** In turn, in milliseconds. */
  readonly times: readonly number[];
  /** Processor time of each, in milliseconds. */
  readonly processorMs: number;
}

const chosen = process.argv[2];
if (chosen === undefined) {
  printSpeed();
  printGain();
} else console.log(JSON.stringify(chosen === 'previews' ? seePreviews() : see(Number(chosen))));

function printSpeed(): void {
  console.log('| nodes | model | asked for | answer | first ms | p50 ms | p95 ms | max ms | processor ms |');
  console.log('|---|---|---|---|---|---|---|---|---|');
  for (const [index, [nodes, model, asked]] of CASES.entries()) {
    printRow([`${nodes}`, model.modelId, asked], ask(`${index}`));
  }
  printRow(['100', LARGE.modelId, 'each of the previews'], ask('previews'));
}

function ask(name: string): Seen[] {
  const file = fileURLToPath(import.meta.url);
  return Array.from(
    { length: PROCESSES },
    () => JSON.parse(execFileSync(process.execPath, [file, name], { encoding: 'utf8' })) as Seen,
  );
}

function printRow(cells: readonly string[], seen: readonly Seen[]): void {
  const first = median(seen.map(({ times }) => times[0] ?? Number.NaN));
  const later = seen.flatMap(({ times }) => times.slice(1));
  const processor = median(seen.map(({ processorMs }) => processorMs));
  const numbers = [first, quantile(later, 0.5), quantile(later, 0.95), Math.max(...later), processor];
  const answers = seen[0]!.answers.join(', ');
  console.log(`| ${[...cells, answers, ...numbers.map((ms) => ms.toFixed(1))].join(' | ')} |`);
}

function see(index: number): Seen {
  const [count, model, , wish] = CASES[index]!;
  const requests = Array.from({ length: ROUNDS }, (_, round) =>
    requestOf(count, model, [8, 16, 24], { ...WISH, ...wish }, round),
  );
  const times: number[] = [];
  const answers = new Set<string>();
  const used = process.cpuUsage();
  for (const request of requests) {
    const started = performance.now();
    const result = place(request);
    times.push(performance.now() - started);
    answers.add(result.kind === 'placed' ? `${result.shards.length}` : result.code);
  }
  const numbered = [...answers].sort((a, b) => Number(a) - Number(b));
  return { answers: numbered, times, processorMs: processorMsSince(used, times.length) };
}

function seePreviews(): Seen {
  const times: number[] = [];
  const used = process.cpuUsage();
  for (let round = 0; round < 5; round += 1) {
    let started = performance.now();
    for (const { result } of previews(requestOf(100, LARGE, [8, 16, 24], WISH, round))) {
      times.push(performance.now() - started);
      if (result.nodes.length === 0) throw new Error('no verdicts');
      started = performance.now();
    }
  }
  return { answers: ['all'], times, processorMs: processorMsSince(used, times.length) };
}

/** @param before processor time at the beginning of all answers */
function processorMsSince(before: NodeJS.CpuUsage, answers: number): number {
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000 / answers;
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
