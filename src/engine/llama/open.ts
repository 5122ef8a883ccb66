/** Opens a model file: the engine to compute with, and what the file says about its text. */
import type { Tokenizer } from '../../models/tokenizer.js';
import type { Engine, EngineOptions } from '../contract.js';
import { native } from './binding/native.js';
import { LlamaEngine } from './llamaEngine.js';
import { LlamaTokenizer } from './llamaTokenizer.js';
import { loadModel } from './loadModel.js';
import { readTextFacts, type TextFacts } from './textFacts.js';

export interface OpenModel extends TextFacts {
  readonly engine: Engine;
  /** Ends with the engine. */
  readonly tokenizer: Tokenizer;
}

export interface OpenVocabulary extends TextFacts {
  readonly tokenizer: Tokenizer;
  close(): void;
}

/**
 * Loads a whole model.
 * @throws {ShoalError} `engine_unavailable`, `model_unsupported`, `model_load_failed`, or `cancelled` when
 *   `onProgress` returned false
 */
export function openLlamaModel(options: EngineOptions): OpenModel {
  const library = native();
  const model = loadModel(library, {
    path: options.modelPath,
    gpuLayers: options.gpuLayers ?? 0,
    vocabularyOnly: false,
    onProgress: options.onProgress,
  });
  const facts = readTextFacts(library, model);
  const engine = new LlamaEngine(library, model, options);
  const tokenizer = new LlamaTokenizer(library, library.model.vocabulary(model));
  engine.onClose(() => tokenizer.close());
  return { engine, tokenizer, ...facts };
}

/**
 * Loads the vocabulary only, without weights: to tokenise.
 * @throws {ShoalError} `engine_unavailable`, `model_unsupported` or `model_load_failed`
 */
export function openVocabulary(modelPath: string): OpenVocabulary {
  const library = native();
  const model = loadModel(library, { path: modelPath, gpuLayers: 0, vocabularyOnly: true });
  const tokenizer = new LlamaTokenizer(library, library.model.vocabulary(model));
  let closed = false;
  return {
    tokenizer,
    ...readTextFacts(library, model),
    close: () => {
      if (closed) return;
      closed = true;
      tokenizer.close();
      library.model.free(model);
    },
  };
}
