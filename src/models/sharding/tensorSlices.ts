/** Into how many equal slices a model can be divided: for placement, and for the engine, which refuses everything else. */
import type { TensorSlices } from '../../shared/modelDivision.js';
import type { ModelCard } from '../card.js';
import { getNumber } from '../gguf/metadata.js';
import { tensorTypeOfName } from '../gguf/tensorTypes.js';
import type { GgufFile, TensorInfo } from '../gguf/types.js';
import { LAYER_DIVISIONS, OTHER_TENSORS, SLICE_RULES, type SlicedSize, SUMMED } from './sliceRules.js';

/** Pure: what was found out when the card was made. */
export function tensorSlices(card: ModelCard): TensorSlices {
  return (
    card.shape?.tensorSlices ?? {
      canBeSliced: false,
      reason: card.refusal ?? 'its file does not describe its network.',
    }
  );
}

/** The sizes of a network of equal layers. */
export interface SlicedNetwork {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  /** Numbers of one head: of queries, keys and values alike. */
  readonly headSize: number;
  readonly feedForwardSize: number;
}

/** @returns null when the file does not say each of them with one number for all layers */
export function slicedNetwork(gguf: GgufFile, architecture: string): SlicedNetwork | null {
  const number = (key: string): number => getNumber(gguf, `${architecture}.${key}`) ?? 0;
  const heads = number('attention.head_count');
  const hiddenSize = number('embedding_length');
  const isList = gguf.metadata.get(`${architecture}.attention.head_count_kv`)?.type === 'array';
  const network = {
    layers: number('block_count'),
    hiddenSize,
    heads,
    keyValueHeads: isList ? 0 : number('attention.head_count_kv') || heads,
    headSize: number('attention.key_length') || hiddenSize / heads,
    feedForwardSize: number('feed_forward_length'),
  };
  if ((number('attention.value_length') || network.headSize) !== network.headSize) return null;
  return Object.values(network).every((size) => Number.isSafeInteger(size) && size > 0) ? network : null;
}

/** @param gguf the header of the whole model: parts joined */
export function findTensorSlices(gguf: GgufFile, architecture: string): TensorSlices {
  const refuse = (reason: string): TensorSlices => ({ canBeSliced: false, reason });
  if (!SLICE_RULES.has(architecture)) {
    const known = [...SLICE_RULES.keys()].join(', ');
    return refuse(`the family \`${architecture}\` is not one of ${known}.`);
  }
  const network = slicedNetwork(gguf, architecture);
  if (network === null) return refuse('its heads and layers are not all of one size.');
  const odd = gguf.tensors.find((tensor) => !isKnown(tensor, network));
  if (odd !== undefined) {
    return refuse(
      `how to divide its tensor \`${odd.name}\` of ${odd.dims.join(' × ')} numbers is not known.`,
    );
  }
  const incomplete = missingSum(gguf.tensors, network);
  if (incomplete !== null) return refuse(`it has no tensor \`${incomplete}\`.`);
  const blocks = (name: string): number => largestBlock(gguf.tensors, name);
  const [attention, feedForward] = SUMMED;
  return {
    canBeSliced: true,
    dimensions: [
      { name: 'KV heads', size: network.keyValueHeads, unit: 1 },
      {
        name: 'attention heads',
        size: network.heads,
        unit: blocks(attention) / greatestCommonDivisor(blocks(attention), network.headSize),
      },
      { name: 'feed-forward numbers', size: network.feedForwardSize, unit: blocks(feedForward) },
      { name: 'hidden numbers', size: network.hiddenSize, unit: 1 },
    ],
  };
}

/** Numbers of all ranks together along a sliced dimension of a tensor. */
export function fullSize(size: SlicedSize, network: SlicedNetwork): number {
  if (size === 'feedForward') return network.feedForwardSize;
  return (size === 'heads' ? network.heads : network.keyValueHeads) * network.headSize;
}

export const LAYER_TENSOR = /^blk\.(\d+)\.(.*)$/s;

/** Is it in the table, of a layer that there is, and as large as the network says? */
function isKnown({ name, dims }: TensorInfo, network: SlicedNetwork): boolean {
  const match = LAYER_TENSOR.exec(name);
  if (match === null) return OTHER_TENSORS.has(name);
  const division = LAYER_DIVISIONS.get(match[2] as string);
  if (division === undefined || Number(match[1]) >= network.layers) return false;
  if (division.by === 'nothing') return true;
  const expected = fullSize(division.of, network);
  if (name.endsWith('.bias')) return dims.length === 1 && dims[0] === expected;
  const [inputs, outputs] =
    division.by === 'outputs' ? [network.hiddenSize, expected] : [expected, network.hiddenSize];
  return dims.length === 2 && dims[0] === inputs && dims[1] === outputs;
}

/** A matrix that has to be there in every layer, and is not. */
function missingSum(tensors: readonly TensorInfo[], { layers }: SlicedNetwork): string | null {
  const names = new Set(tensors.map(({ name }) => name));
  for (let layer = 0; layer < layers; layer += 1) {
    const missing = SUMMED.find((name) => !names.has(`blk.${layer}.${name}`));
    if (missing !== undefined) return `blk.${layer}.${missing}`;
  }
  return names.has('token_embd.weight') ? null : 'token_embd.weight';
}

/** All block sizes are powers of two: the largest is a multiple of all others. */
function largestBlock(tensors: readonly TensorInfo[], nameInLayer: string): number {
  return tensors.reduce((largest, { name, type }) => {
    if (LAYER_TENSOR.exec(name)?.[2] !== nameInLayer) return largest;
    return Math.max(largest, tensorTypeOfName(type).blockElements);
  }, 1);
}

function greatestCommonDivisor(a: number, b: number): number {
  let [larger, smaller] = [a, b];
  while (smaller > 0) [larger, smaller] = [smaller, larger % smaller];
  return larger;
}
