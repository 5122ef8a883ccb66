/**
 * The slice of one rank as a model of its own, as llama.cpp takes it: all layers, narrower, each with its share of heads
 * and of the feed-forward layer, and for each tensor the part of the user's file where its data is. Pure; nothing is
 * copied. Every rank takes hidden states, which its caller looks up in the token embeddings, and computes the logits of
 * its share of the vocabulary.
 */
import { ShoalError } from '../../shared/errors.js';
import { slicesRefusal } from '../../shared/modelDivision.js';
import { getNumber } from '../gguf/metadata.js';
import { tensorTypeOfName } from '../gguf/tensorTypes.js';
import type { GgufFile, TensorInfo } from '../gguf/types.js';
import type { WritableMetadata } from '../gguf/writer.js';
import { architectureOf } from './legalCuts.js';
import type { ShardModel, ShardTensor, TensorSource } from './shardModel.js';
import { type Division, LAYER_DIVISIONS, SLICE_RULES, type SliceRule, SUMMED } from './sliceRules.js';
import {
  findTensorSlices,
  fullSize,
  LAYER_TENSOR,
  type SlicedNetwork,
  slicedNetwork,
} from './tensorSlices.js';

export interface Slice {
  readonly rank: number;
  readonly worldSize: number;
}

export interface SliceModel {
  /** To be loaded like a shard of all layers. Its vocabulary is this rank's share, `vocabulary`. */
  readonly model: ShardModel;
  /** One row a token, all of them. */
  readonly embeddings: TensorInfo;
  /** Tokens [first, end) whose logits this rank computes. */
  readonly vocabulary: { readonly first: number; readonly end: number };
  /** Tokens of the whole model. */
  readonly vocabularySize: number;
  /** Names, as the engine knows them, of the matrices whose results are added up, in the order of the graph. */
  readonly summed: readonly string[];
}

/** Rows of the head are dealt out in as many as faster layouts take at once. */
const VOCABULARY_UNIT = 64;

/**
 * @param gguf the header of the whole model: parts joined
 * @throws {ShoalError} `sharding_unsupported`, with the reason, when the model may not be divided so
 */
export function sliceModel(gguf: GgufFile, slice: Slice): SliceModel {
  const { rank, worldSize } = slice;
  const architecture = architectureOf(gguf) ?? '';
  const refusal = refusalOf(gguf, architecture, slice);
  if (refusal !== null) {
    throw new ShoalError(
      'sharding_unsupported',
      `This model cannot be divided into ${worldSize} slices: ${refusal}`,
    );
  }
  const network = slicedNetwork(gguf, architecture) as SlicedNetwork;
  const rule = SLICE_RULES.get(architecture) as SliceRule;
  const tensors = new Map(gguf.tensors.map((tensor) => [tensor.name, tensor]));
  const embeddings = tensors.get('token_embd.weight') as TensorInfo;
  const head = tensors.get('output.weight') ?? embeddings;
  const vocabularySize = head.dims[1] ?? 0;
  const vocabulary = share(vocabularySize, slice);
  const { layers } = network;
  return {
    model: {
      architecture,
      range: { first: 0, end: layers },
      layerCount: layers,
      vocabularySize: vocabulary.end - vocabulary.first,
      isFirst: true,
      isLast: true,
      metadata: sliceMetadata(gguf, architecture, rule, network, {
        worldSize,
        vocabularySize: vocabulary.end - vocabulary.first,
      }),
      tensors: gguf.tensors
        .flatMap((tensor) => {
          if (tensor === embeddings || tensor === head) return [];
          return [sliced(tensor, rule, network, { rank, worldSize })];
        })
        .concat(headTensors(head, vocabulary)),
      embeddings,
      embeddingFactor: 1,
      inputNode: null,
      outputNode: null,
    },
    embeddings,
    vocabulary,
    vocabularySize,
    summed: Array.from({ length: layers }, (_, layer) => SUMMED.map((name) => `blk.${layer}.${name}`)).flat(),
  };
}

function refusalOf(gguf: GgufFile, architecture: string, { rank, worldSize }: Slice): string | null {
  if (!(Number.isInteger(worldSize) && worldSize >= 1 && Number.isInteger(rank))) return 'it is no number.';
  if (rank < 0 || rank >= worldSize) return `there is no rank ${rank} among ${worldSize}.`;
  return slicesRefusal(findTensorSlices(gguf, architecture), worldSize);
}

/** Equal shares in whole units; what does not divide falls to the last. */
function share(size: number, { rank, worldSize }: Slice): { readonly first: number; readonly end: number } {
  const unit = size >= worldSize * VOCABULARY_UNIT ? VOCABULARY_UNIT : 1;
  const boundary = (at: number): number =>
    at === worldSize ? size : Math.floor((size * at) / worldSize / unit) * unit;
  return { first: boundary(rank), end: boundary(rank + 1) };
}

function sliced(tensor: TensorInfo, rule: SliceRule, network: SlicedNetwork, slice: Slice): ShardTensor {
  const match = LAYER_TENSOR.exec(tensor.name);
  const within = match?.[2] ?? '';
  const renamed = rule.alias?.names.get(within);
  const name = renamed === undefined ? tensor.name : `blk.${match?.[1]}.${renamed}`;
  const division = LAYER_DIVISIONS.get(within) ?? { by: 'nothing' };
  return { name, type: tensor.type, source: partOf(tensor, division, network, slice) };
}

function partOf(
  tensor: TensorInfo,
  division: Division,
  network: SlicedNetwork,
  { rank, worldSize }: Slice,
): TensorSource {
  if (division.by === 'nothing') return { kind: 'tensor', tensor };
  const count = fullSize(division.of, network) / worldSize;
  return tensorPart(tensor, division.by, rank * count, count);
}

function tensorPart(
  tensor: TensorInfo,
  by: 'inputs' | 'outputs',
  first: number,
  count: number,
): TensorSource {
  const { blockElements, blockBytes } = tensorTypeOfName(tensor.type);
  const bytesOf = (elements: number): number => (elements / blockElements) * blockBytes;
  const [inputs = 1, outputs = 1] = tensor.dims;
  const rowBytes = tensor.sizeBytes / (tensor.dims.length === 1 ? inputs : outputs);
  if (by === 'inputs') {
    const pieces = {
      offset: bytesOf(first),
      sizeBytes: bytesOf(count),
      strideBytes: rowBytes,
      count: outputs,
    };
    return { kind: 'part', tensor, dims: [count, outputs], pieces };
  }
  const pieces = { offset: first * rowBytes, sizeBytes: count * rowBytes, strideBytes: 0, count: 1 };
  return { kind: 'part', tensor, dims: tensor.dims.length === 1 ? [count] : [inputs, count], pieces };
}

/** Tokens are looked up elsewhere: of the embeddings the graph asks for, nothing is read. */
function headTensors(head: TensorInfo, { first, end }: SliceModel['vocabulary']): ShardTensor[] {
  const { type, dims } = head;
  return [
    { name: 'token_embd.weight', type, source: { kind: 'untouched', dims: [dims[0] ?? 0, end - first] } },
    { name: 'output.weight', type, source: tensorPart(head, 'outputs', first, end - first) },
  ];
}

function sliceMetadata(
  gguf: GgufFile,
  architecture: string,
  { alias }: SliceRule,
  network: SlicedNetwork,
  { worldSize, vocabularySize }: { readonly worldSize: number; readonly vocabularySize: number },
): (readonly [string, WritableMetadata])[] {
  const loadedAs = alias?.architecture ?? architecture;
  const metadata = new Map<string, WritableMetadata>();
  for (const [key, value] of gguf.metadata) {
    if (key.startsWith('tokenizer.') || key.startsWith('split.') || key.startsWith('general.')) continue;
    const own = key.startsWith(`${architecture}.`);
    metadata.set(own ? loadedAs + key.slice(architecture.length) : key, value);
  }
  const set = (key: string, value: number): void => {
    metadata.set(`${loadedAs}.${key}`, { type: 'uint32', value });
  };
  set('attention.head_count', network.heads / worldSize);
  set('attention.head_count_kv', network.keyValueHeads / worldSize);
  set('attention.key_length', network.headSize);
  set('attention.value_length', network.headSize);
  set('feed_forward_length', network.feedForwardSize / worldSize);
  set('vocab_size', vocabularySize);
  if (getNumber(gguf, `${architecture}.rope.dimension_count`) === null) {
    set('rope.dimension_count', network.headSize);
  }
  metadata.set('general.architecture', { type: 'string', value: loadedAs });
  metadata.set('tokenizer.ggml.model', { type: 'string', value: 'none' });
  return [...metadata];
}
