/** Opens a pipeline shard: a range of layers of the user's model file, which stays where it is and as it is. */
import { type ShardModel, shardModel } from '../../../models/sharding/shardModel.js';
import { firstPart } from '../../../models/splitFiles.js';
import type { Engine, EngineOptions } from '../../contract.js';
import type { Address } from '../binding/declarations.js';
import { ROPE_TYPE } from '../binding/model.js';
import { type Native, native } from '../binding/native.js';
import { LlamaEngine, type ShardParts } from '../llamaEngine.js';
import { EmbeddingRows } from './embeddingRows.js';
import { loadShardModel } from './loadShardModel.js';
import { ModelFiles } from './modelFiles.js';
import { NodeTap } from './nodeTap.js';
import { ShardRows } from './shardRows.js';
import { FileSupply, type TensorSupply } from './tensorSupply.js';
import { verifyModelFile } from './verifyFile.js';

export interface ShardOptions extends EngineOptions {
  /** Layers [first, end), between legal cuts (`legalCuts`). */
  readonly layers: { readonly first: number; readonly end: number };
}

/**
 * Loads the layers of one shard; of the file only their tensors are read. The first shard takes tokens, the last gives
 * logits; a shard that is neither takes and gives hidden states. There is no tokenizer in it: `openVocabulary` has one.
 * @throws {ShoalError} `sharding_unsupported` for layers that may not be a shard; `engine_unavailable`,
 *   `model_not_found`, `model_unsupported`, `model_load_failed`, or `cancelled` when `onProgress` returned false
 */
export function openLlamaShard(options: ShardOptions): Engine {
  const library = native();
  const files = new ModelFiles(options.modelPath);
  let shard: ShardModel;
  let embeddings: EmbeddingRows | null;
  try {
    shard = shardModel(files.gguf, options.layers);
    verifyModelFile(library, firstPart(options.modelPath), files.gguf);
    embeddings = embeddingRows(library, shard, files);
  } catch (error) {
    files.close();
    throw error;
  }
  return createShard(library, { shard, embeddings, supply: new FileSupply(library, files) }, options);
}

function embeddingRows(library: Native, shard: ShardModel, files: ModelFiles): EmbeddingRows | null {
  const { embeddings } = shard;
  if (embeddings === null) return null;
  return new EmbeddingRows(library, {
    info: embeddings,
    factor: shard.embeddingFactor,
    read: (offset, target) => files.read(embeddings, offset, target),
  });
}

export interface ShardContents {
  readonly shard: ShardModel;
  /** For the first shard, else null. */
  readonly embeddings: EmbeddingRows | null;
  /** Freed when the engine is closed, and when there is none after all. */
  readonly supply: TensorSupply;
}

/** The engine of a shard, wherever its tensors come from. Throws as `openLlamaShard` does. */
export function createShard(
  library: Native,
  { shard, embeddings, supply }: ShardContents,
  options: Omit<EngineOptions, 'modelPath'>,
): Engine {
  const loaded = loadShardModel(library, shard, supply, {
    gpuLayers: options.gpuLayers ?? 0,
    onProgress: options.onProgress,
  });
  const { model } = loaded;
  const { batchRows } = options;
  const hiddenSize = library.model.hiddenSize(model);
  const tap = new NodeTap(library, { ...shard, rows: batchRows, hiddenSize });
  const outputRows = shard.isLast ? (options.outputRows ?? options.sequences) : batchRows;
  const parts: ShardParts = {
    shape: {
      architecture: shard.architecture,
      firstLayer: shard.range.first,
      endLayer: shard.range.end,
      layerCount: shard.layerCount,
      hiddenSize,
      vocabularySize: shard.vocabularySize,
      trainedContextTokens: library.model.trainedContext(model),
    },
    weightsBytes: loaded.weightsBytes,
    nodeCallback: shard.inputNode !== null || shard.outputNode !== null ? tap.callback : 0,
    rows: (context) =>
      new ShardRows(
        { native: library, context, embeddings, tap },
        {
          rows: batchRows,
          hiddenSize,
          vocabularySize: shard.vocabularySize,
          isLast: shard.isLast,
          positionsPerRow: positionsPerRow(library, model),
          reorders: library.model.isRecurrent(model) || library.model.isHybrid(model),
        },
      ),
  };
  const free = (): void => {
    tap.free();
    loaded.free();
  };
  return new LlamaEngine(library, model, { ...options, modelPath: '', outputRows }, { shard: parts, free });
}

/** Models whose rotation has sections take one position for each of four axes. */
function positionsPerRow(library: Native, model: Address): number {
  const type = library.model.ropeType(model);
  return type === ROPE_TYPE.sections || type === ROPE_TYPE.interleavedSections ? 4 : 1;
}
