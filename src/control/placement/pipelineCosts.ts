/**
 * What the parts of a pipeline cost on each machine, and on the ways between them. It does not depend on the size of the
 * cache. Machines are looked at when they are asked for: most of many never are.
 */
import { LIMITS } from '../../shared/limits.js';
import type { LayerCuts } from '../../shared/modelDivision.js';
import type { CostParameters } from './costParameters.js';
import { type LayerCosts, layerCosts } from './layerCosts.js';
import { type Machines, sendMs } from './machines.js';
import type { Network } from './network.js';
import { sumsAt } from './shardMemory.js';
import { PathSpace, type RangeCosts, type Stage } from './shortestPath.js';
import { IMPOSSIBLE_MS } from './strategy.js';
import type { ModelShape } from './types.js';

export interface PipelineParts {
  readonly model: ModelShape;
  readonly machines: Machines;
  readonly network: Network;
  readonly parameters: CostParameters;
}

/** One request, token or chunk on one machine. */
interface PieceCosts {
  /** Of each kind of piece, as `Pipelines.pieces`. */
  readonly piecesMs: readonly number[];
  readonly besideMs: number;
  readonly headMs: number;
}

export class PipelineCosts {
  readonly parts: PipelineParts;
  /** Layers at which shards may begin or end. */
  readonly boundaries: readonly number[];
  /** Pieces between two boundaries, by the number of the second: one of each kind that costs and takes the same. */
  readonly pieces: readonly number[];
  readonly chunkCount: number;
  readonly space: PathSpace;
  readonly #refusedCounts: ReadonlySet<number>;
  /** All that a request sends from one stage to the next. */
  readonly #requestBytes: number;
  readonly #layerCosts: LayerCosts[] = [];
  readonly #pieceCosts: Readonly<Record<'request' | 'chunk', PieceCosts>>[] = [];
  readonly #costs: MachineCosts[] = [];

  /** @param cuts null for the model as a whole */
  constructor(parts: PipelineParts, cuts: (LayerCuts & { readonly canBeCut: true }) | null) {
    const { model, parameters } = parts;
    this.parts = parts;
    this.boundaries = cuts === null ? [0, model.layers] : [0, ...cuts.cuts, cuts.layers];
    this.#requestBytes = parameters.answerTokens * this.hiddenBytes + this.chunkBytes;
    const end = this.boundaries.length - 1;
    this.space = new PathSpace(Math.min(end, LIMITS.shardsPerInstance), end);
    this.pieces = distinctPieces(model, this.boundaries);
    this.#refusedCounts = new Set(cuts?.refusedLayerCounts ?? []);
    this.chunkCount = Math.max(1, Math.ceil(parameters.promptTokens / parameters.chunkTokens));
  }

  costsOf(machine: number): MachineCosts {
    const { parameters } = this.parts;
    this.#costs[machine] ??= rangeCosts(this.#layerCostsOf(machine), this.boundaries, parameters);
    return this.#costs[machine];
  }

  pieceCosts(machine: number): Readonly<Record<'request' | 'chunk', PieceCosts>> {
    this.#pieceCosts[machine] ??= this.#makePieceCosts(machine);
    return this.#pieceCosts[machine];
  }

  #makePieceCosts(machine: number): Readonly<Record<'request' | 'chunk', PieceCosts>> {
    const { decodeMs, chunkMs, headMs, stepMs } = this.#layerCostsOf(machine);
    const { answerTokens } = this.parts.parameters;
    const sum = (at: number, ofLayer: (layer: number) => number): number => {
      let ms = 0;
      for (let layer = this.boundaries[at - 1]!; layer < this.boundaries[at]!; layer += 1)
        ms += ofLayer(layer);
      return ms;
    };
    const chunk = this.pieces.map((at) => sum(at, chunkMs));
    const request = this.pieces.map((at, kind) => answerTokens * sum(at, decodeMs) + chunk[kind]!);
    const steps = answerTokens + 1;
    return {
      request: { piecesMs: request, besideMs: steps * stepMs, headMs: steps * headMs },
      chunk: { piecesMs: chunk, besideMs: stepMs, headMs },
    };
  }

  #layerCostsOf(machine: number): LayerCosts {
    const { model, machines, parameters } = this.parts;
    this.#layerCosts[machine] ??= layerCosts(model, machines.all[machine]!, parameters);
    return this.#layerCosts[machine];
  }

  /** Between these boundaries, given by their numbers. */
  get isLegal(): ((from: number, to: number) => boolean) | null {
    if (this.#refusedCounts.size === 0) return null;
    return (from, to) => !this.#refusedCounts.has(this.boundaries[to]! - this.boundaries[from]!);
  }

  /** The number of the boundary before this layer. */
  boundaryAt(layer: number): number {
    return this.boundaries.indexOf(layer);
  }

  waysMs(order: readonly number[]): number {
    if (order.length < 2) return 0;
    const { answerTokens } = this.parts.parameters;
    let ms = (answerTokens + 1) * this.returnMs(order.at(-1)!, order[0]!);
    for (let rank = 1; rank < order.length; rank += 1) ms += this.pairMs(order[rank - 1]!, order[rank]!);
    if (this.parts.network.transport === 'Mesh') {
      ms += IMPOSSIBLE_MS * this.parts.network.needed(order).filter((way) => way === null).length;
    }
    return ms;
  }

  /** All that a request sends from one to the next. */
  pairMs(from: number, to: number): number {
    const way = this.parts.network.way(from, to);
    if (way === null) return IMPOSSIBLE_MS;
    const messages = this.parts.parameters.answerTokens + 1;
    return messages * way.delayMs + this.#requestBytes / way.bytesPerMs;
  }

  /** A token's hidden state to the next stage. */
  hopMs(from: number, to: number): number {
    return this.#sendMs(from, to, this.hiddenBytes);
  }

  /** A prefill chunk's hidden states to the next stage. */
  chunkHopMs(from: number, to: number): number {
    return this.#sendMs(from, to, this.chunkBytes);
  }

  /** A drawn token to the first stage. */
  returnMs(from: number, to: number): number {
    return this.#sendMs(from, to, this.parts.parameters.tokenMessageBytes);
  }

  get chunkBytes(): number {
    const { chunkTokens, promptTokens } = this.parts.parameters;
    return Math.min(chunkTokens, promptTokens) * this.hiddenBytes;
  }

  get hiddenBytes(): number {
    return this.parts.model.hiddenSize * this.parts.parameters.hiddenNumberBytes;
  }

  #sendMs(from: number, to: number, sizeBytes: number): number {
    const way = this.parts.network.way(from, to);
    return way === null ? IMPOSSIBLE_MS : sendMs(way, sizeBytes);
  }
}

type MachineCosts = Pick<Stage, 'request' | 'token' | 'chunk'>;

/** A request is so many answer tokens and a chunk: the chunks beyond the first depend on the slowest stage alone. */
function rangeCosts(
  costs: LayerCosts,
  boundaries: readonly number[],
  { answerTokens }: CostParameters,
): MachineCosts {
  const of = (beforeMs: Float64Array, steps: number): RangeCosts => ({
    beforeMs,
    besideMs: steps * costs.stepMs,
    headMs: steps * costs.headMs,
  });
  const tokenMs = sumsAt(boundaries, costs.decodeMs);
  const chunkMs = sumsAt(boundaries, costs.chunkMs);
  const requestMs = tokenMs.map((ms, at) => answerTokens * ms + chunkMs[at]!);
  return { request: of(requestMs, answerTokens + 1), token: of(tokenMs, 1), chunk: of(chunkMs, 1) };
}

function distinctPieces({ work, weights, cache }: ModelShape, boundaries: readonly number[]): number[] {
  const byKind = new Map<string, number>();
  const numbers = [work.layerReadBytes, work.layerOperations, weights.layerBytes, cache.cellBytes];
  for (let at = 1; at < boundaries.length; at += 1) {
    const [first, end] = [boundaries[at - 1]!, boundaries[at]!];
    const kind = [...numbers, cache.sequenceBytes]
      .map((ofLayer) => ofLayer.slice(first, end).join())
      .join(' ');
    if (!byKind.has(kind)) byKind.set(kind, at);
  }
  return [...byKind.values()];
}
