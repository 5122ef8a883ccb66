/**
 * Models of the architecture `deepseek2` (DeepSeek-V2, V3, GLM 4.7 and kin). Older files do not say all that the graph
 * needs, and llama.cpp guesses it from the numbers of layers and tokens. A shard has other numbers, so that it is told.
 */
import { getArray, getNumber } from '../gguf/metadata.js';
import type { GgufFile } from '../gguf/types.js';

/** Numbers of layers that llama.cpp takes for models without low-rank queries. */
export const LITE_LAYER_COUNTS: readonly number[] = [26, 27];

const LITE_BY_VOCABULARY = { layers: 48, vocabulary: 128_256 } as const;
const SIGMOID_BY_VOCABULARY = { layers: [47, 48] as readonly number[], vocabulary: 154_880 } as const;
/** `expert_gating_func` */
const GATING = { softmax: 1, sigmoid: 2 } as const;

/**
 * Metadata for every shard, without the architecture's prefix.
 * @param prefix such as `deepseek2.`
 * @param layers of the whole model
 */
export function deepSeekFacts(gguf: GgufFile, prefix: string, layers: number): [string, number][] {
  const number = (key: string): number | null => getNumber(gguf, prefix + key);
  const vocabulary = number('vocab_size') ?? getArray(gguf, 'tokenizer.ggml.tokens')?.length ?? 0;
  const facts: [string, number][] = [];
  const isLite =
    LITE_LAYER_COUNTS.includes(layers) ||
    (layers === LITE_BY_VOCABULARY.layers && vocabulary === LITE_BY_VOCABULARY.vocabulary);
  if (isLite) facts.push(['attention.q_lora_rank', 0]);
  if ((number('expert_gating_func') ?? 0) === 0) {
    const isSigmoid =
      SIGMOID_BY_VOCABULARY.layers.includes(layers) && vocabulary === SIGMOID_BY_VOCABULARY.vocabulary;
    facts.push(['expert_gating_func', isSigmoid ? GATING.sigmoid : GATING.softmax]);
  }
  return facts;
}
