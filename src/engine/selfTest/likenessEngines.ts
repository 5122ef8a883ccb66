/** Engines of a tiny likeness: the whole model, its shards, and its slices, in this process. */
import type { GgufFile } from '../../models/gguf/types.js';
import { type LayerRange, shardModel } from '../../models/sharding/shardModel.js';
import { sliceModel } from '../../models/sharding/sliceModel.js';
import type { Engine, EngineOptions } from '../contract.js';
import { native } from '../llama/binding/native.js';
import { LlamaEngine } from '../llama/llamaEngine.js';
import { EmbeddingRows } from '../llama/shard/embeddingRows.js';
import { loadShardModel } from '../llama/shard/loadShardModel.js';
import { createShard } from '../llama/shard/open.js';
import { createSlice, type SliceOptions } from '../llama/slice/open.js';
import { RandomSupply, randomEmbeddings } from './randomSupply.js';
import { LIKENESS } from './tinyLikeness.js';

/** One thread: tiny graphs wait longer for each other's threads than they compute. */
const CAPACITY = { batchRows: 32, outputRows: 32, sequences: 4, cells: 256, threads: 1, polling: 0 } as const;

/**
 * @param onUnlisted is told the names of tensors that the architecture needs and the likeness has not; null = a failure
 * @param more than the usual sizes
 */
export function openWholeLikeness(
  likeness: GgufFile,
  layerCount: number,
  onUnlisted: ((name: string) => void) | null = null,
  more: Pick<EngineOptions, 'exactAttention'> = {},
): Engine {
  const library = native();
  const contents = {
    architecture: '',
    range: { first: 0, end: layerCount },
    layerCount,
    vocabularySize: LIKENESS.vocabularySize,
    isFirst: true,
    isLast: true,
    metadata: [...likeness.metadata],
    tensors: likeness.tensors.map((tensor) => ({
      name: tensor.name,
      type: tensor.type,
      source: { kind: 'tensor' as const, tensor },
    })),
    embeddings: null,
    embeddingFactor: 1,
    inputNode: null,
    outputNode: null,
  };
  const { model, free } = loadShardModel(library, contents, new RandomSupply(library, onUnlisted), {
    gpuLayers: 0,
  });
  return new LlamaEngine(library, model, { ...CAPACITY, ...more, modelPath: '' }, { shard: null, free });
}

export function openLikenessShard(likeness: GgufFile, range: LayerRange): Engine {
  const library = native();
  const shard = shardModel(likeness, range);
  const { embeddings } = shard;
  const rows =
    embeddings === null
      ? null
      : new EmbeddingRows(library, {
          info: embeddings,
          factor: shard.embeddingFactor,
          read: randomEmbeddings(embeddings),
        });
  return createShard(library, { shard, embeddings: rows, supply: new RandomSupply(library) }, CAPACITY);
}

export function openLikenessSlice(
  likeness: GgufFile,
  options: Pick<SliceOptions, 'rank' | 'worldSize' | 'allReduce' | 'exactAttention'>,
): Engine {
  const library = native();
  const slice = sliceModel(likeness, options);
  const info = slice.embeddings;
  const embeddings = new EmbeddingRows(library, { info, factor: 1, read: randomEmbeddings(info) });
  const contents = { slice, embeddings, supply: new RandomSupply(library) };
  return createSlice(library, contents, { ...CAPACITY, ...options });
}
