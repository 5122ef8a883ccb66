/**
 * A range of layers as a model of its own, as llama.cpp takes it: metadata with fewer layers, tensors renumbered from
 * layer 0, and for each tensor the place in the user's file where its data is. Pure; nothing is copied. Rules that
 * hold for every architecture:
 * - A shard takes rows of hidden states. For the first shard the caller looks them up in the token embeddings.
 * - Only the last shard has the vocabulary's size and the head. The others have a vocabulary of a few tokens, so that
 *   neither a head nor logits take memory or time.
 */
import { ShoalError } from '../../shared/errors.js';
import { getNumber } from '../gguf/metadata.js';
import type { TensorTypeName } from '../gguf/tensorTypes.js';
import type { GgufFile, MetadataValue, TensorInfo } from '../gguf/types.js';
import type { WritableMetadata } from '../gguf/writer.js';
import { CUT_RULES, type CutRule } from './cutRules.js';
import { deepSeekFacts } from './deepSeekFamily.js';
import { architectureOf, findLegalCuts, isLegalShard } from './legalCuts.js';

export interface LayerRange {
  readonly first: number;
  readonly end: number;
}

export type TensorSource =
  /** Data of the model's tensor with this name. */
  | { readonly kind: 'tensor'; readonly tensor: TensorInfo }
  /** The same number everywhere, as f32: a tensor that the graph asks for and never uses, or that must do nothing. */
  | { readonly kind: 'constant'; readonly value: number }
  /** A part of one: as many pieces of it, one after the other. */
  | {
      readonly kind: 'part';
      readonly tensor: TensorInfo;
      readonly dims: readonly number[];
      readonly pieces: TensorPieces;
    }
  /** A tensor that the graph asks for and never reads: its memory is reserved and never touched. */
  | { readonly kind: 'untouched'; readonly dims: readonly number[] };

/** Stored bytes, from the start of a tensor. */
export interface TensorPieces {
  /** Of the first piece. */
  readonly offset: number;
  /** Of each. */
  readonly sizeBytes: number;
  /** From one piece to the next. */
  readonly strideBytes: number;
  readonly count: number;
}

export interface ShardTensor {
  readonly name: string;
  readonly type: TensorTypeName;
  readonly source: TensorSource;
}

/** Bytes of the file that a source takes. */
export function sourceBytes(source: TensorSource): number {
  if (source.kind === 'tensor') return source.tensor.sizeBytes;
  return source.kind === 'part' ? source.pieces.sizeBytes * source.pieces.count : 0;
}

export interface ShardModel {
  readonly architecture: string;
  readonly range: LayerRange;
  /** Layers of the whole model. */
  readonly layerCount: number;
  readonly vocabularySize: number;
  readonly isFirst: boolean;
  readonly isLast: boolean;
  readonly metadata: readonly (readonly [string, WritableMetadata])[];
  readonly tensors: readonly ShardTensor[];
  /** The token embeddings, one row a token: null unless this is the first shard. */
  readonly embeddings: TensorInfo | null;
  /** What looked-up embeddings are multiplied with before they go in. */
  readonly embeddingFactor: number;
  /** The node of the graph whose value is replaced by the given rows; null: rows go in as `embd` of the batch. */
  readonly inputNode: string | null;
  /** The node of the graph with the rows for the next shard; null for the last. */
  readonly outputNode: string | null;
}

/** Tokens of a vocabulary that nobody uses. */
const PLACEHOLDER_VOCABULARY = 32;

/** Lists that have nothing to do with layers, however long they are. */
const NOT_BY_LAYER = /\.(rope\.dimension_sections|rope\.scaling\..*|.*deepstack.*)$/;

const LAYER = /^blk\.(\d+)\.(.*)$/s;
const EMBEDDINGS = /^(token_embd|position_embd|token_types)\./;

/**
 * @param gguf the header of the whole model: parts joined
 * @throws {ShoalError} `sharding_unsupported`, with the reason, when the model may not be cut there
 */
export function shardModel(gguf: GgufFile, range: LayerRange): ShardModel {
  const architecture = architectureOf(gguf) ?? '';
  const number = (key: string): number | null => getNumber(gguf, `${architecture}.${key}`);
  const blocks = number('block_count') ?? 0;
  const legal = findLegalCuts(gguf, architecture, blocks);
  if (!legal.canBeCut) throw refusal(legal.reason);
  if (!isLegalShard(legal, range.first, range.end)) {
    throw refusal(`its layers [${range.first}, ${range.end}) of ${legal.layers} are no legal shard.`);
  }
  const rule = CUT_RULES.get(architecture) as CutRule;
  const isFirst = range.first === 0;
  const isLast = range.end === legal.layers;
  const tensors = new Map(gguf.tensors.map((tensor) => [tensor.name, tensor]));
  const embeddings = tensors.get('token_embd.weight');
  if (embeddings === undefined) throw refusal('it has no token embeddings.');
  const head = tensors.get('output.weight') ?? embeddings;
  const vocabularySize = head.dims[1] ?? 0;
  const hiddenSize = number('embedding_length') ?? 0;
  return {
    architecture,
    range,
    layerCount: legal.layers,
    vocabularySize,
    isFirst,
    isLast,
    metadata: shardMetadata(gguf, architecture, range, {
      blocks,
      layers: legal.layers,
      rule,
      vocabularySize: isLast ? vocabularySize : PLACEHOLDER_VOCABULARY,
    }),
    tensors: [
      ...layerTensors(gguf, range),
      ...otherTensors(gguf, isFirst, isLast),
      ...headTensors(rule, isLast ? head : null),
    ],
    embeddings: isFirst ? embeddings : null,
    embeddingFactor: isFirst && rule.scalesTokens === true ? Math.fround(Math.sqrt(hiddenSize)) : 1,
    inputNode: isFirst ? null : (rule.scaledInput ?? null),
    outputNode: isLast ? null : `l_out-${range.end - range.first - 1}`,
  };
}

function refusal(reason: string): ShoalError {
  return new ShoalError('sharding_unsupported', `This model cannot be cut into shards: ${reason}`);
}

function layerTensors(gguf: GgufFile, { first, end }: LayerRange): ShardTensor[] {
  return gguf.tensors.flatMap((tensor) => {
    const match = LAYER.exec(tensor.name);
    const layer = Number(match?.[1] ?? -1);
    if (match === null || layer < first || layer >= end) return [];
    return [fromFile(`blk.${layer - first}.${match[2]}`, tensor)];
  });
}

/** Tensors outside of layers, but for the token embeddings and the head. */
function otherTensors(gguf: GgufFile, isFirst: boolean, isLast: boolean): ShardTensor[] {
  return gguf.tensors.flatMap((tensor): ShardTensor[] => {
    const { name } = tensor;
    if (LAYER.test(name) || name === 'token_embd.weight' || name === 'output.weight') return [];
    // Positions that were added once must not be added again.
    if (EMBEDDINGS.test(name)) return [isFirst ? fromFile(name, tensor) : constant(name, 0)];
    if (name.startsWith('output') && !isLast) return [constant(name, name.includes('norm') ? 1 : 0)];
    return [fromFile(name, tensor)];
  });
}

/** @param head null where no logits are computed: what the graph asks for is there and small */
function headTensors(rule: CutRule, head: TensorInfo | null): ShardTensor[] {
  if (head === null) {
    const embeddings = constant('token_embd.weight', 0);
    return rule.tiedHead === true ? [embeddings] : [embeddings, constant('output.weight', 0)];
  }
  if (rule.tiedHead === true) return [fromFile('token_embd.weight', head)];
  // Tokens are looked up elsewhere, if at all.
  const { type, dims } = head;
  return [
    { name: 'token_embd.weight', type, source: { kind: 'untouched', dims } },
    fromFile('output.weight', head),
  ];
}

function fromFile(name: string, tensor: TensorInfo): ShardTensor {
  return { name, type: tensor.type, source: { kind: 'tensor', tensor } };
}

function constant(name: string, value: number): ShardTensor {
  return { name, type: 'f32', source: { kind: 'constant', value } };
}

interface ShardFacts {
  readonly blocks: number;
  readonly layers: number;
  readonly rule: CutRule;
  readonly vocabularySize: number;
}

function shardMetadata(
  gguf: GgufFile,
  architecture: string,
  range: LayerRange,
  facts: ShardFacts,
): (readonly [string, WritableMetadata])[] {
  const prefix = `${architecture}.`;
  const count = range.end - range.first;
  const metadata = new Map<string, WritableMetadata>();
  for (const [key, value] of gguf.metadata) {
    if (key.startsWith('tokenizer.') || key.startsWith('split.') || key.startsWith('general.')) continue;
    metadata.set(key, forLayers(key, value, range, facts));
  }
  const set = (key: string, value: number, type: 'uint32' | 'float32' = 'uint32'): void => {
    metadata.set(prefix + key, { type, value });
  };
  const number = (key: string): number | null => getNumber(gguf, prefix + key);
  set('block_count', count);
  set('vocab_size', facts.vocabularySize);
  metadata.set('general.architecture', { type: 'string', value: architecture });
  metadata.set('tokenizer.ggml.model', { type: 'string', value: 'none' });
  if (number('nextn_predict_layers') !== null) set('nextn_predict_layers', 0);
  // Rows carry hidden states only, no features of images beside them.
  if (number('n_deepstack_layers') !== null) set('n_deepstack_layers', 0);
  const dense = number('leading_dense_block_count');
  if (dense !== null) {
    set('leading_dense_block_count', Math.max(0, Math.min(count, dense - range.first)));
  }
  // A default other than 1 would be applied where the key is missing.
  if (range.first > 0) set('embedding_scale', 1, 'float32');
  if (facts.rule.liteFamily === true) {
    for (const [key, value] of deepSeekFacts(gguf, prefix, facts.layers)) set(key, value);
  }
  return [...metadata];
}

/** A list with one entry for each layer is cut with them. */
function forLayers(
  key: string,
  value: MetadataValue,
  { first, end }: LayerRange,
  { blocks, layers }: ShardFacts,
): WritableMetadata {
  if (value.type !== 'array' || NOT_BY_LAYER.test(key)) return value;
  if (value.length !== blocks && value.length !== layers) return value;
  return { ...value, type: 'array', elementType: value.elementType, value: value.value.slice(first, end) };
}
