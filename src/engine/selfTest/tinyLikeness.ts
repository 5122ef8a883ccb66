/**
 * A tiny model in the likeness of a real one: the same architecture, number and kinds of layers and names of tensors,
 * with small sizes. What a cut does to a model hangs on the former, so that the likeness tests what the real one is too
 * large for. Weights are f32 and random; they are made when they are asked for, and stand in no file.
 */
import { getNumber, getNumbers, getString } from '../../models/gguf/metadata.js';
import type { GgufFile, MetadataValue, TensorInfo } from '../../models/gguf/types.js';
import { layersOf } from '../../models/sharding/legalCuts.js';

export const LIKENESS = { hiddenSize: 64, vocabularySize: 96 } as const;

const HEADS = 4;
const HEAD_SIZE = LIKENESS.hiddenSize / HEADS;
const BYTES_OF_FLOAT = 4;

/** Sizes by metadata under the architecture's name. Zero stays zero, as in lists of what each layer has. */
const SIZES: Readonly<Record<string, number>> = {
  vocab_size: LIKENESS.vocabularySize,
  context_length: 512,
  embedding_length: LIKENESS.hiddenSize,
  feed_forward_length: 96,
  expert_feed_forward_length: 32,
  expert_shared_feed_forward_length: 48,
  expert_count: 4,
  expert_used_count: 2,
  expert_shared_count: 1,
  expert_group_count: 1,
  expert_group_used_count: 1,
  'attention.head_count': HEADS,
  'attention.key_length': HEAD_SIZE,
  'attention.value_length': HEAD_SIZE,
  'attention.key_length_swa': HEAD_SIZE,
  'attention.value_length_swa': HEAD_SIZE,
  // Small enough that a few tokens are more than it.
  'attention.sliding_window': 4,
  'attention.q_lora_rank': 48,
  'attention.indexer.head_count': HEADS,
  'attention.indexer.key_length': 64,
  'attention.indexer.top_k': 4,
  'ssm.conv_kernel': 4,
  'ssm.inner_size': 2 * LIKENESS.hiddenSize,
  'ssm.state_size': 16,
  'ssm.time_step_rank': 4,
  'ssm.group_count': 2,
  'shortconv.l_cache': 3,
  'kda.head_dim': HEAD_SIZE,
};

/** Latent attention: keys are the latent and a rotated part. */
const LATENT: Readonly<Record<string, number>> = {
  'attention.kv_lora_rank': 32,
  'attention.head_count_kv': 1,
  'attention.key_length': 48,
  'attention.value_length': 32,
  'attention.key_length_mla': 32,
  'attention.value_length_mla': 16,
  'rope.dimension_count': 16,
};

/** Delta nets: states are square. */
const DELTA_NET: Readonly<Record<string, number>> = {
  'ssm.inner_size': 4 * HEAD_SIZE,
  'ssm.state_size': HEAD_SIZE,
  'ssm.time_step_rank': 4,
  'ssm.group_count': 2,
};

/** @param gguf the header of the real model: parts joined */
export function tinyLikeness(gguf: GgufFile): GgufFile {
  const architecture = getString(gguf, 'general.architecture') ?? '';
  const prefix = `${architecture}.`;
  const has = (key: string): boolean => gguf.metadata.has(prefix + key);
  const sizes = {
    ...SIZES,
    ...(has('full_attention_interval') ? DELTA_NET : {}),
    ...(has('attention.kv_lora_rank') && has('attention.key_length_mla') ? LATENT : {}),
  };
  const metadata = new Map<string, MetadataValue>();
  for (const [key, value] of gguf.metadata) {
    if (key.startsWith('tokenizer.') || key.startsWith('split.') || key.startsWith('general.')) continue;
    const name = key.startsWith(prefix) ? key.slice(prefix.length) : '';
    metadata.set(key, resized(name, value, sizes));
  }
  const set = (key: string, value: MetadataValue): void => void metadata.set(key, value);
  set('general.architecture', { type: 'string', value: architecture });
  set('tokenizer.ggml.model', { type: 'string', value: 'none' });
  set(`${prefix}vocab_size`, { type: 'uint32', value: LIKENESS.vocabularySize });
  keepHeadRelations(gguf, prefix, sizes, set);
  const layers = layersOf(gguf, architecture, getNumber(gguf, `${prefix}block_count`) ?? 0);
  return {
    version: gguf.version,
    metadata,
    tensors: gguf.tensors.filter(({ name }) => isGenerating(name, layers)).map(tinyTensor),
    dataOffset: 0,
    fileBytes: 0,
  };
}

/** Not of a layer that only drafts further tokens. */
function isGenerating(name: string, layers: number): boolean {
  return Number(/^blk\.(\d+)\./.exec(name)?.[1] ?? -1) < layers;
}

function resized(name: string, value: MetadataValue, sizes: Readonly<Record<string, number>>): MetadataValue {
  const size = sizes[name];
  if (size === undefined) return value;
  if (value.type !== 'array') return Number(value.value) === 0 ? value : { ...value, value: size };
  const list = value.value.map((entry) => (Number(entry) === 0 ? entry : size));
  return { ...value, type: 'array', elementType: value.elementType, value: list, length: list.length };
}

/** Heads that share keys, and rotations of a part of a head, do so in the likeness too. */
function keepHeadRelations(
  gguf: GgufFile,
  prefix: string,
  sizes: Readonly<Record<string, number>>,
  set: (key: string, value: MetadataValue) => void,
): void {
  const number = (key: string): number | null => getNumber(gguf, prefix + key);
  const heads =
    number('attention.head_count') ??
    Math.max(0, ...(getNumbers(gguf, `${prefix}attention.head_count`) ?? []));
  const shared = (keyHeads: number): number => {
    if (keyHeads === 0 || keyHeads === 1) return keyHeads;
    return keyHeads < heads ? HEADS / 2 : HEADS;
  };
  const keyHeads = gguf.metadata.get(`${prefix}attention.head_count_kv`);
  if (sizes['attention.head_count_kv'] === undefined && keyHeads !== undefined) {
    if (keyHeads.type === 'array') {
      const list = keyHeads.value.map((entry) => shared(Number(entry)));
      set(`${prefix}attention.head_count_kv`, {
        ...keyHeads,
        type: 'array',
        value: list,
        length: list.length,
      } as MetadataValue);
    } else set(`${prefix}attention.head_count_kv`, { ...keyHeads, value: shared(Number(keyHeads.value)) });
  }
  const rotated = number('rope.dimension_count');
  if (sizes['rope.dimension_count'] === undefined && rotated !== null) {
    const keySize = number('attention.key_length') ?? (number('embedding_length') ?? 0) / Math.max(1, heads);
    const size = rotated < keySize ? HEAD_SIZE / 2 : HEAD_SIZE;
    set(`${prefix}rope.dimension_count`, { type: 'uint32', value: size });
  }
  const sections = gguf.metadata.get(`${prefix}rope.dimension_sections`);
  if (sections?.type === 'array') {
    const list = [3, 3, 2, 0].slice(0, sections.length);
    set(`${prefix}rope.dimension_sections`, {
      ...sections,
      type: 'array',
      value: list,
      length: list.length,
    } as MetadataValue);
  }
}

/** Sizes of tensors follow from the metadata; only of the embeddings and the head they are said. */
function tinyTensor({ name }: TensorInfo): TensorInfo {
  const isTable = name === 'token_embd.weight' || name === 'output.weight';
  const dims = isTable ? [LIKENESS.hiddenSize, LIKENESS.vocabularySize] : [1];
  const elements = dims.reduce((product, dim) => product * dim, 1);
  return { name, type: 'f32', dims, elements, sizeBytes: elements * BYTES_OF_FLOAT, offset: 0 };
}
