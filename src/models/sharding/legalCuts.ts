/**
 * Where a model may be cut into pipeline shards: for placement, and for the engine, which refuses everything else.
 * A cut is the number of the layer before which it lies.
 */
import type { LayerCuts } from '../../shared/modelDivision.js';
import type { ModelCard } from '../card.js';
import { getArray, getNumber, getNumbers, getString } from '../gguf/metadata.js';
import type { GgufFile } from '../gguf/types.js';
import { CUT_RULES, type CutPeriod, type CutRule, cutRefusal } from './cutRules.js';
import { LITE_LAYER_COUNTS } from './deepSeekFamily.js';

/** Layers that llama.cpp can hold. */
const MAXIMUM_LAYERS = 512;

/** Pure: what was found out when the card was made. */
export function legalCuts(card: ModelCard): LayerCuts {
  return (
    card.shape?.legalCuts ?? {
      canBeCut: false,
      reason: card.refusal ?? 'its file does not describe its network.',
    }
  );
}

/** Is [first, end) a shard of a legal split? True for the whole model too. */
export function isLegalShard(legal: LayerCuts, first: number, end: number): boolean {
  if (!legal.canBeCut) return false;
  const isBoundary = (layer: number): boolean =>
    layer === 0 || layer === legal.layers || legal.cuts.includes(layer);
  if (!(first < end && isBoundary(first) && isBoundary(end))) return false;
  return !legal.refusedLayerCounts.includes(end - first);
}

/**
 * @param gguf the header of the whole model: parts joined
 * @param blocks `block_count`
 */
export function findLegalCuts(gguf: GgufFile, architecture: string, blocks: number): LayerCuts {
  const rule = CUT_RULES.get(architecture);
  const refuse = (reason: string): LayerCuts => ({ canBeCut: false, reason });
  if (rule === undefined) return refuse(`the architecture \`${architecture}\` ${cutRefusal(architecture)}.`);
  const layers = layersOf(gguf, architecture, blocks);
  if (!(blocks >= 1 && blocks <= MAXIMUM_LAYERS)) return refuse(`it has ${blocks} layers.`);
  if ((rule.specialLayerCounts ?? []).includes(layers) || layers >= (rule.layersBelow ?? Infinity)) {
    return refuse(`with ${layers} layers, \`${architecture}\` computes differently than with fewer.`);
  }
  const period = periodOf(gguf, architecture, rule.periods ?? []);
  const kinds = rule.firstLayerKind === true ? layerKinds(gguf, architecture) : null;
  const cuts: number[] = [];
  for (let layer = 1; layer < layers; layer++) {
    if (layer % period === 0 && (kinds === null || kinds[layer] === kinds[0])) cuts.push(layer);
  }
  if (cuts.length === 0) {
    return refuse(`the kinds of its ${layers} layers do not repeat where a cut could be.`);
  }
  return { canBeCut: true, cuts, layers, refusedLayerCounts: refusedCounts(rule, layers) };
}

/** Layers that generate: without those at the end that only draft further tokens. */
export function layersOf(gguf: GgufFile, architecture: string, blocks: number): number {
  return Math.max(1, blocks - (getNumber(gguf, `${architecture}.nextn_predict_layers`) ?? 0));
}

/** A model of the DeepSeek family that is itself so long stands as a whole, and no part of it is as long. */
function refusedCounts(rule: CutRule, layers: number): readonly number[] {
  const counts = [...(rule.specialLayerCounts ?? []), ...(rule.liteFamily === true ? LITE_LAYER_COUNTS : [])];
  return counts.filter((count) => count < layers);
}

function periodOf(gguf: GgufFile, architecture: string, periods: readonly CutPeriod[]): number {
  return periods.reduce((product, { key, usual, acceptsList }) => {
    if (key === null) return leastCommonMultiple(product, usual);
    const name = `${architecture}.${key}`;
    if (acceptsList === true && getArray(gguf, name) !== null) return product;
    return leastCommonMultiple(product, Math.max(1, getNumber(gguf, name) ?? usual));
  }, 1);
}

function leastCommonMultiple(a: number, b: number): number {
  let [larger, smaller] = [a, b];
  while (smaller > 0) [larger, smaller] = [smaller, larger % smaller];
  return (a * b) / larger;
}

/** `[layers]` true where a layer has keys and values; null when all layers are alike. */
function layerKinds(gguf: GgufFile, architecture: string): readonly boolean[] | null {
  return getNumbers(gguf, `${architecture}.attention.head_count_kv`)?.map((heads) => heads > 0) ?? null;
}

/** The name of the architecture; null when the file has none. */
export function architectureOf(gguf: GgufFile): string | null {
  return getString(gguf, 'general.architecture');
}
