/** Where the bytes of a model's weights are, so that the share of any range of layers is known. */
import type { TensorTypeName } from './gguf/tensorTypes.js';
import type { TensorInfo } from './gguf/types.js';
import { mostBytes } from './quantisation.js';

export interface WeightSizes {
  /** `[layers]` */
  readonly layerBytes: readonly number[];
  /** The type that most of these bytes are in; null where there are none. */
  readonly layerType: TensorTypeName | null;
  /** `[layers]` Of these the bytes of experts, of which each token uses some. */
  readonly expertBytes: readonly number[];
  /** Token (and position) embeddings. */
  readonly embeddingBytes: number;
  /** Of these the tokens', which a shard looks up in the file instead of holding them. */
  readonly tokenEmbeddingBytes: number;
  /** Final norm and output matrix: the last shard has them. */
  readonly outputBytes: number;
  /** The token embeddings serve as the output matrix too. */
  readonly isOutputTied: boolean;
  /** The matrix that is multiplied with the last hidden state: the output's, or the embeddings'. */
  readonly headBytes: number;
  /** What every shard has, such as rope factors. */
  readonly commonBytes: number;
}

const EMBEDDING = /^(token_embd|token_types|position_embd|per_layer_|altup_)/;
const OUTPUT = /^(output|cls|dec\.output)/;
const LAYER = /^blk\.(\d+)\./;
/** All experts of a layer in one tensor, or one each in old files; those that every token uses are called `_shexp`. */
const EXPERTS = /^blk\.\d+\.ffn_\w+(_exps|\.\d+)\./;

export function weightSizesOf(tensors: readonly TensorInfo[], layers: number): WeightSizes {
  const layerBytes = new Array<number>(layers).fill(0);
  const expertBytes = new Array<number>(layers).fill(0);
  const sizes = { embedding: 0, output: 0, common: 0 };
  const named = new Map<string, number>();
  const types = new Map<TensorTypeName, number>();
  for (const { name, type, sizeBytes } of tensors) {
    const layer = LAYER.exec(name)?.[1];
    if (layer !== undefined && Number(layer) < layers) {
      layerBytes[Number(layer)]! += sizeBytes;
      types.set(type, (types.get(type) ?? 0) + sizeBytes);
      if (EXPERTS.test(name)) expertBytes[Number(layer)]! += sizeBytes;
    } else if (EMBEDDING.test(name)) sizes.embedding += sizeBytes;
    else if (OUTPUT.test(name)) sizes.output += sizeBytes;
    else sizes.common += sizeBytes;
    if (layer === undefined) named.set(name, sizeBytes);
  }
  const head = named.get('output.weight');
  return {
    layerBytes,
    layerType: mostBytes(types),
    expertBytes,
    embeddingBytes: sizes.embedding,
    tokenEmbeddingBytes: named.get('token_embd.weight') ?? 0,
    outputBytes: sizes.output,
    isOutputTied: head === undefined,
    headBytes: head ?? named.get('token_embd.weight') ?? 0,
    commonBytes: sizes.common,
  };
}
