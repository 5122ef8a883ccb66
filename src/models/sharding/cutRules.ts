/**
 * Which architectures may be cut into pipeline shards, and where: one table, after the graphs of llama.cpp v0.4.0.
 * A shard is to llama.cpp a model of its own whose layers are numbered from 0, so whatever a graph makes of a layer's
 * number, or of the number of layers, must come out the same in it. What is not in the table is refused: several
 * architectures load in parts and compute something else without a word. test/engine/shards/architectures.test.ts
 * compares each entry with the whole model bit for bit.
 */

/** A length after which the kinds of layers repeat; cuts are legal at its multiples. */
export interface CutPeriod {
  /** Metadata under the architecture's name that says it; null for a length that is built into the graph. */
  readonly key: string | null;
  /** When the file has no number there. */
  readonly usual: number;
  /** The graph also takes an entry for each layer in its place; such a list is cut with the layers. */
  readonly acceptsList?: true;
}

export interface CutRule {
  /** The graph takes the token embeddings as its head and has no tensor `output.weight`. */
  readonly tiedHead?: true;
  /** Cuts are legal at multiples of all of these. @default anywhere */
  readonly periods?: readonly CutPeriod[];
  /** A cut is legal before layers with (or without) keys and values only, as the model's first layer is. */
  readonly firstLayerKind?: true;
  /** The graph multiplies looked-up tokens, but not given rows, with √hidden: rows are given multiplied. */
  readonly scalesTokens?: true;
  /** The graph multiplies given rows with √hidden too. Rows of another shard are put behind this node of it. */
  readonly scaledInput?: string;
  /** Numbers of layers at which the graph computes something else; neither model nor shard may have as many. */
  readonly specialLayerCounts?: readonly number[];
  /** From this number of layers on the graph has other tensors. */
  readonly layersBelow?: number;
  /** The DeepSeek family: files of some layer counts have no low-rank queries. */
  readonly liteFamily?: true;
}

const ANYWHERE: CutRule = {};

const window = (usual: number): CutPeriod => ({ key: 'attention.sliding_window_pattern', usual });
const BUILT_IN_FOUR: CutPeriod = { key: null, usual: 4 };
const MIXTURE_STEP: CutPeriod = { key: 'interleave_moe_layer_step', usual: 1 };
const FULL_ATTENTION: CutPeriod = { key: 'full_attention_interval', usual: 4 };

function each(rule: CutRule, architectures: string): [string, CutRule][] {
  return architectures.split(/\s+/).map((architecture) => [architecture, rule]);
}

export const CUT_RULES: ReadonlyMap<string, CutRule> = new Map<string, CutRule>([
  ...each(
    ANYWHERE,
    `llama deci falcon grok gpt2 gptneox mpt starcoder refact stablelm qwen qwen2 qwen2moe qwen2vl qwen3 qwen3moe
    qwen3vl qwen3vlmoe phi2 phi3 phimoe plamo orion internlm2 minicpm starcoder2 mamba mamba2 xverse dbrx olmo olmoe
    arctic deepseek deepseek32 chatglm glm4 glm4moe jais jais2 nemotron exaone granite granitemoe bailingmoe bailingmoe2
    dots1 arcee ernie4_5 hunyuan-moe hunyuan-dense hunyuan_vl hy_v3 seed_oss grovemoe apertus minimax-m2 minimax-m3
    pangu-embedded mistral3 mistral4 paddleocr maincoder`,
  ),
  ...each({ tiedHead: true }, 'openelm bitnet'),
  ['gemma', { tiedHead: true, scaledInput: 'inp_scaled' }],
  ['gemma2', { tiedHead: true, scaledInput: 'inp_scaled', periods: [window(2)], specialLayerCounts: [46] }],
  ['gemma3', { scalesTokens: true, periods: [window(6)], specialLayerCounts: [62] }],
  ['gpt-oss', { periods: [window(2)] }],
  ['cohere2', { tiedHead: true, periods: [window(4)] }],
  ['olmo2', { periods: [window(4)] }],
  ['plamo3', { periods: [window(8)] }],
  ['exaone-moe', { periods: [window(4)] }],
  ['mellum', { periods: [{ ...window(4), acceptsList: true }] }],
  ['exaone4', { specialLayerCounts: [64] }],
  ['command-r', { tiedHead: true, layersBelow: 64 }],
  ['deepseek2', { liteFamily: true }],
  ['smollm3', { periods: [BUILT_IN_FOUR] }],
  ['afmoe', { scaledInput: 'inp_embd_scaled', periods: [BUILT_IN_FOUR, window(4)] }],
  ['llama4', { periods: [BUILT_IN_FOUR, window(4), MIXTURE_STEP] }],
  ['ernie4_5-moe', { periods: [MIXTURE_STEP] }],
  ...each({ periods: [FULL_ATTENTION] }, 'qwen3next qwen35 qwen35moe'),
  ...each({ firstLayerKind: true }, 'jamba lfm2 lfm2moe kimi-linear'),
]);

const DIFFERS = 'computes something else when it is cut';
const SHARES = 'has layers that use what other layers, or the embeddings, have computed';

/** Why architectures that have been looked at are not in the table; follows the name of the architecture. */
export const REFUSED_CUTS: ReadonlyMap<string, string> = new Map([
  ...'bloom cogvlm minicpm3 muse-glimmer talkie kimi-k3 minimax-01 smallthinker'
    .split(' ')
    .map((name) => [name, DIFFERS] as const),
  ...'gemma3n gemma4'.split(' ').map((name) => [name, SHARES] as const),
  ['baichuan', 'takes its position encoding from the number of its layers'],
  ['nanbeige', 'runs its layers several times over'],
]);

/** For people, to follow the name of the architecture. */
export function cutRefusal(architecture: string): string {
  return REFUSED_CUTS.get(architecture) ?? 'has not been shown to compute the same when it is cut';
}
