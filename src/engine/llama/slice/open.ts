/**
 * Opens a tensor slice: one rank's share of the heads, of the feed-forward layers and of the vocabulary, in all layers
 * of the user's model file. It is a narrower model to llama.cpp; twice a layer, and for the logits, the ranks add up.
 */
import { getNumber } from '../../../models/gguf/metadata.js';
import { architectureOf } from '../../../models/sharding/legalCuts.js';
import { type SliceModel, sliceModel } from '../../../models/sharding/sliceModel.js';
import { firstPart, joinedHeader } from '../../../models/splitFiles.js';
import type { Engine, EngineOptions, SliceSums } from '../../contract.js';
import type { Address } from '../binding/declarations.js';
import { type Native, native } from '../binding/native.js';
import { LlamaEngine, type ShardParts } from '../llamaEngine.js';
import { EmbeddingRows } from '../shard/embeddingRows.js';
import { loadShardModel } from '../shard/loadShardModel.js';
import { ModelFiles } from '../shard/modelFiles.js';
import { FileSupply, type TensorSupply } from '../shard/tensorSupply.js';
import { verifyModelFile } from '../shard/verifyFile.js';
import { SliceRows } from './sliceRows.js';
import { SumTap, summedFloats } from './sumTap.js';

export interface SliceOptions extends EngineOptions {
  readonly rank: number;
  /** Number of slices: a divisor of all dimensions of `tensorSlices`. */
  readonly worldSize: number;
  /** Over all ranks of the model. */
  readonly allReduce: SliceSums;
}

/**
 * Loads the slice of one rank; of the file only what it needs is read. All ranks must be opened with the same numbers and
 * take the same steps; rank 0 gives the logits, the others `added`. An abort flag that is set on any rank ends the step
 * on all of them as `aborted`, at the next sum. There is no tokenizer in it: `openVocabulary` has one.
 * @throws {ShoalError} `sharding_unsupported` for a model that cannot be divided so, with the dimension that does not
 *   divide; `engine_unavailable`, `model_not_found`, `model_unsupported`, `model_load_failed`, or `cancelled` when
 *   `onProgress` returned false
 */
export function openTensorSlice(options: SliceOptions): Engine {
  const library = native();
  const files = new ModelFiles(options.modelPath);
  let slice: SliceModel;
  let embeddings: EmbeddingRows;
  try {
    slice = sliceModel(files.gguf, options);
    verifyModelFile(library, firstPart(options.modelPath), files.gguf);
    const { embeddings: info } = slice;
    embeddings = new EmbeddingRows(library, {
      info,
      factor: 1,
      read: (offset, target) => files.read(info, offset, target),
    });
  } catch (error) {
    files.close();
    throw error;
  }
  return createSlice(library, { slice, embeddings, supply: new FileSupply(library, files) }, options);
}

/**
 * Floats that a slice of this model allocates of its `SliceSums`, all at once: rows of hidden states, and the vote.
 * @throws {ShoalError} `model_not_found` or `model_unsupported`
 */
export function sliceSumFloats({
  modelPath,
  batchRows,
}: Pick<EngineOptions, 'modelPath' | 'batchRows'>): number {
  const header = joinedHeader(modelPath);
  const hiddenSize = getNumber(header, `${architectureOf(header)}.embedding_length`) ?? 0;
  return summedFloats(batchRows, hiddenSize);
}

export interface SliceContents {
  readonly slice: SliceModel;
  readonly embeddings: EmbeddingRows;
  /** Freed when the engine is closed, and when there is none after all. */
  readonly supply: TensorSupply;
}

/** The engine of a slice, wherever its tensors come from. Throws as `openTensorSlice` does. */
export function createSlice(
  library: Native,
  { slice, embeddings, supply }: SliceContents,
  options: Omit<SliceOptions, 'modelPath'>,
): Engine {
  const addresses = new Map<string, Address>();
  const loaded = loadShardModel(library, slice.model, noting(library, supply, addresses), {
    gpuLayers: options.gpuLayers ?? 0,
    onProgress: options.onProgress,
  });
  const { rank, worldSize, batchRows, allReduce: sums } = options;
  const { model } = loaded;
  const hiddenSize = library.model.hiddenSize(model);
  let tap: SumTap;
  try {
    tap = new SumTap(
      { native: library, sums },
      {
        matrices: slice.summed.map((name) => addresses.get(name) ?? 0),
        rows: batchRows,
        hiddenSize,
      },
    );
  } catch (error) {
    library.model.free(model);
    loaded.free();
    throw error;
  }
  const outputRows = Math.max(options.outputRows ?? 0, options.sequences);
  const { architecture, layerCount } = slice.model;
  const parts: ShardParts = {
    shape: {
      architecture,
      firstLayer: 0,
      endLayer: layerCount,
      layerCount,
      hiddenSize,
      vocabularySize: slice.vocabularySize,
      trainedContextTokens: library.model.trainedContext(model),
    },
    weightsBytes: loaded.weightsBytes,
    nodeCallback: tap.callback,
    rowsAbort: true,
    rows: (context, abortFlag) =>
      new SliceRows(
        { native: library, context, embeddings, tap, sums, abortFlag },
        {
          rank,
          worldSize,
          rows: batchRows,
          outputRows: Math.min(outputRows, batchRows),
          hiddenSize,
          vocabularySize: slice.vocabularySize,
          vocabulary: slice.vocabulary,
        },
      ),
  };
  const free = (): void => {
    tap.free();
    loaded.free();
  };
  return new LlamaEngine(library, model, { ...options, modelPath: '' }, { shard: parts, free });
}

/** A supply that also notes where the tensors are that it fills. */
function noting(library: Native, supply: TensorSupply, addresses: Map<string, Address>): TensorSupply {
  return {
    fill: (tensor, source) => {
      addresses.set(library.tensor.name(tensor), tensor);
      supply.fill(tensor, source);
    },
    end: () => supply.end?.(),
    free: () => supply.free(),
  };
}
