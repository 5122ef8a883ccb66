/**
 * Placement by trying everything, written down once more from the definitions and without any of the code that it is
 * held against: all ordered sets of nodes, all divisions at legal cuts.
 */
import type { CostParameters } from '../costParameters.js';
import type { LinkFacts, ModelShape, NodeResources, PlacementRequest } from '../types.js';

/** Layers [first, end) on a node. */
export interface Part {
  readonly node: NodeResources;
  readonly first: number;
  readonly end: number;
}

export interface Best {
  readonly parts: readonly Part[];
  /** Time of the request with the handicap of nodes without files. */
  readonly score: number;
}

/** With as few nodes as it takes, or as many as make it fastest where speed is asked for; null when nothing fits. */
export function bestByForce(request: PlacementRequest, parameters: CostParameters): Best | null {
  const { wish } = request;
  const nodes = request.nodes.filter(
    (node) => node.status === 'alive' && node.backends.length > 0 && freeOf(node) > 0,
  );
  const least = Math.max(1, wish.minNodes ?? 1, wish.requireRdma ? 2 : 1);
  let best: Best | null = null;
  for (let count = least; count <= nodes.length; count += 1) {
    for (const order of ordersOf(nodes, count)) {
      if (!isJoined(request, order)) continue;
      for (const parts of divisions(request.model, order)) {
        if (!parts.every((part) => memoryOf(request, part, parts) <= freeOf(part.node))) continue;
        const score = scoreOf(request, parts, parameters);
        if (best === null || score < best.score) best = { parts, score };
      }
    }
    if (best !== null && !wish.preferSpeed) return best;
  }
  return best;
}

export function freeOf(node: NodeResources): number {
  return Math.max(0, node.memoryOfferedBytes - node.memoryTakenBytes);
}

/** @param cells KV cells. @default one context */
export function memoryOf(
  { model, wish }: PlacementRequest,
  { first, end }: Part,
  parts: readonly Part[],
  cells = wish.contextTokens ?? 0,
): number {
  const rounded = Math.ceil(cells / model.cache.cellMultiple) * model.cache.cellMultiple;
  const sequences = wish.sequences ?? 0;
  const isLast = end === parts.at(-1)!.end;
  let bytes = model.weights.commonBytes;
  for (let layer = first; layer < end; layer += 1) {
    bytes += model.weights.layerBytes[layer]!;
    bytes += model.cache.cellBytes[layer]! * rounded + model.cache.sequenceBytes[layer]! * sequences;
  }
  const isWhole = parts.length === 1;
  if (first === 0) bytes += isWhole ? model.weights.embeddingBytes : model.weights.firstShardBytes;
  if (isLast) bytes += model.weights.outputBytes;
  if (isLast && !isWhole) bytes += model.weights.tiedHeadBytes;
  if (!isWhole) bytes += model.overhead.passedRowsBytes * (isLast ? 1 : 2);
  const { fixedBytes, activationBytes, logitsRowBytes, mostOutputRows, bytesPerCell } = model.overhead;
  const logits = isLast ? Math.min(sequences, mostOutputRows) * logitsRowBytes : 0;
  return bytes + fixedBytes + Math.max(activationBytes, logits) + logits + rounded * bytesPerCell;
}

export function scoreOf(request: PlacementRequest, parts: readonly Part[], p: CostParameters): number {
  const missing = parts.filter(({ node }) => !node.hasModelFiles).length;
  return requestMsOf(request, parts, p) * (1 + (p.missingFilesShare * missing) / parts.length);
}

export function requestMsOf(request: PlacementRequest, parts: readonly Part[], p: CostParameters): number {
  const { tokenMs, promptMs, slowestMs } = timesOf(request, parts, p);
  return promptMs + (Math.ceil(p.promptTokens / p.chunkTokens) - 1) * slowestMs + p.answerTokens * tokenMs;
}

export interface Times {
  readonly tokenMs: number;
  /** Of it, what the busiest node or link does. */
  readonly longestStageMs: number;
  /** The first chunk of a prompt, through all nodes. */
  readonly promptMs: number;
  /** Between two chunks. */
  readonly slowestMs: number;
}

export function timesOf(request: PlacementRequest, parts: readonly Part[], p: CostParameters): Times {
  const { model } = request;
  const chunkRows = Math.min(p.chunkTokens, p.promptTokens);
  const hiddenBytes = model.hiddenSize * p.hiddenNumberBytes;
  let tokenMs = 0;
  let longestStageMs = 0;
  let promptMs = 0;
  let slowestMs = 0;
  for (const [rank, part] of parts.entries()) {
    const isProcessor = part.node.backends.every((backend) => backend === 'cpu');
    const bandwidth = part.node.memoryBytesPerSecond ?? p.assumedMemoryBytesPerSecond;
    const memory = bandwidth * p.bandwidthShare;
    const attention = bandwidth * (isProcessor ? p.attentionShare : p.bandwidthShare);
    const share = isProcessor ? p.operationsShares[String(model.work.weightType)] : undefined;
    const speed =
      (part.node.operationsPerSecond ?? p.assumedOperationsPerSecond) * (share ?? p.operationsShare);
    let decode = p.stepOverheadUs / 1e6;
    let chunk = p.stepOverheadUs / 1e6;
    for (let layer = part.first; layer < part.end; layer += 1) {
      const read = model.work.layerReadBytes[layer]! / memory;
      const readAll = model.weights.layerBytes[layer]! / memory;
      decode +=
        read + (model.cache.cellBytes[layer]! * p.attendedCells) / attention + p.layerOverheadUs / 1e6;
      chunk +=
        Math.max(readAll, (model.work.layerOperations[layer]! * chunkRows) / speed) + p.layerOverheadUs / 1e6;
    }
    if (rank === parts.length - 1) {
      const head = Math.max(model.work.headReadBytes / memory, model.work.headOperations / speed);
      decode += head;
      chunk += head;
    }
    tokenMs += decode * 1e3;
    longestStageMs = Math.max(longestStageMs, decode * 1e3);
    promptMs += chunk * 1e3;
    slowestMs = Math.max(slowestMs, chunk * 1e3);
    const next = parts[rank + 1]?.node;
    if (next === undefined) continue;
    tokenMs += sendMs(request, part.node, next, hiddenBytes, p);
    longestStageMs = Math.max(longestStageMs, transferMs(request, part.node, next, hiddenBytes, p));
    promptMs += sendMs(request, part.node, next, hiddenBytes * chunkRows, p);
    slowestMs = Math.max(slowestMs, transferMs(request, part.node, next, hiddenBytes * chunkRows, p));
  }
  if (parts.length > 1) {
    const back = sendMs(request, parts.at(-1)!.node, parts[0]!.node, p.tokenMessageBytes, p);
    tokenMs += back;
    promptMs += back;
  }
  return { tokenMs, longestStageMs, promptMs, slowestMs };
}

export function isJoined(request: PlacementRequest, order: readonly NodeResources[]): boolean {
  return order.every((node, rank) => {
    const others = request.wish.transport === 'Mesh' ? order : [order[(rank + 1) % order.length]!];
    return others.every((other) => other === node || isLinked(request, node, other));
  });
}

function isLinked(request: PlacementRequest, node: NodeResources, other: NodeResources): boolean {
  const facts = factsOf(request, node, other);
  return (
    facts.length > 0 && facts.every((link) => link.isConnected && (link.rdma || !request.wish.requireRdma))
  );
}

function factsOf({ links }: PlacementRequest, node: NodeResources, other: NodeResources): LinkFacts[] {
  return links.filter(
    ({ from, to }) =>
      (from === node.nodeId && to === other.nodeId) || (from === other.nodeId && to === node.nodeId),
  );
}

function transferMs(
  request: PlacementRequest,
  node: NodeResources,
  other: NodeResources,
  sizeBytes: number,
  p: CostParameters,
): number {
  const speeds = factsOf(request, node, other).map(
    (link) => link.bytesPerSecond ?? p.assumedLinkBytesPerSecond,
  );
  return (sizeBytes / Math.min(...speeds)) * 1e3;
}

function sendMs(
  request: PlacementRequest,
  node: NodeResources,
  other: NodeResources,
  sizeBytes: number,
  p: CostParameters,
): number {
  const trips = factsOf(request, node, other).map((link) => link.roundTripUs ?? p.assumedRoundTripUs);
  return (Math.max(...trips) / 2 + p.hopOverheadUs) / 1e3 + transferMs(request, node, other, sizeBytes, p);
}

function* ordersOf(nodes: readonly NodeResources[], count: number): Generator<NodeResources[]> {
  if (count === 0) yield [];
  else {
    for (const node of nodes) {
      for (const rest of ordersOf(
        nodes.filter((other) => other !== node),
        count - 1,
      ))
        yield [node, ...rest];
    }
  }
}

export function* divisions(model: ModelShape, order: readonly NodeResources[]): Generator<Part[]> {
  if (order.length === 1) yield [{ node: order[0]!, first: 0, end: model.layers }];
  else if (model.cuts.canBeCut) {
    const { cuts, layers, refusedLayerCounts } = model.cuts;
    for (const chosen of choicesOf(cuts, order.length - 1)) {
      const bounds = [0, ...chosen, layers];
      const parts = order.map((node, rank) => ({ node, first: bounds[rank]!, end: bounds[rank + 1]! }));
      if (parts.every(({ first, end }) => !refusedLayerCounts.includes(end - first))) yield parts;
    }
  }
}

function* choicesOf(items: readonly number[], count: number): Generator<number[]> {
  if (count === 0) yield [];
  else {
    for (const [at, item] of items.entries()) {
      for (const rest of choicesOf(items.slice(at + 1), count - 1)) yield [item, ...rest];
    }
  }
}
