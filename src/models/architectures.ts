/** Which architectures (`general.architecture`) the pinned llama.cpp (v0.4.0) knows, and which of them chat. */

/** They generate text from left to right. */
const TEXT_GENERATION: ReadonlySet<string> = new Set(
  `llama llama4 deci falcon grok gpt2 gptneox mpt baichuan starcoder refact bloom stablelm qwen qwen2 qwen2moe qwen2vl
  qwen3 qwen3moe qwen3next qwen3vl qwen3vlmoe qwen35 qwen35moe qwen4exp phi2 phi3 phimoe plamo plamo2 plamo3 codeshell
  orion internlm2 minicpm minicpm3 gemma gemma2 gemma3 gemma3n gemma4 starcoder2 mamba mamba2 jamba falcon-h1 xverse
  command-r cohere2 cohere2moe dbrx olmo olmo2 olmoe muse-glimmer openelm arctic deepseek deepseek2 deepseek2-ocr
  deepseek32 deepseek4 chatglm glm4 glm4moe glm-dsa bitnet jais jais2 nemotron nemotron_h nemotron_h_moe exaone exaone4
  exaone-moe rwkv6 rwkv6qwen2 rwkv7 arwkv7 granite granitemoe granitehybrid graniteswitch granite_swa chameleon plm
  bailingmoe bailingmoe2 bailingmoe3 dots1 dots3note arcee afmoe laguna ernie4_5 ernie4_5-moe hunyuan-moe hunyuan-dense
  hunyuan_vl hy_v3 smollm3 gpt-oss lfm2 lfm2moe smallthinker seed_oss grovemoe apertus minimax-01 minimax-m2 minimax-m3
  cogvlm pangu-embedded mistral3 mistral4 paddleocr mimo2 step35 maincoder kimi-linear kimi-k3 talkie mellum
  nanbeige`.split(/\s+/),
);

const KINDS: readonly (readonly [what: string, architectures: string])[] = [
  ['the image or sound encoder of another model, which cannot run by itself', 'clip mmproj'],
  [
    'an embedding model: it turns text into vectors and generates none',
    'bert modern-bert nomic-bert nomic-bert-moe neo-bert jina-bert-v2 jina-bert-v3 eurobert gemma-embedding llama-embed t5encoder',
  ],
  ['an encoder-decoder model, which is not supported', 't5'],
  ['a text diffusion model, which is not supported', 'dream llada llada-moe rnd1'],
  ['a draft model, which only speeds up another one', 'eagle3 dflash gemma4-assistant'],
  ['a speech model, which is not supported', 'whisper wavtokenizer-dec qwen3tts pockettts'],
  [
    'an image or video model, which is not supported',
    'flux sd1 sdxl sd3 aura ltxv hyvid wan hidream cosmos lumina2 qwen_image z_image',
  ],
];

const OTHERS: ReadonlyMap<string, string> = new Map(
  KINDS.flatMap(([what, architectures]) => architectures.split(' ').map((name) => [name, what] as const)),
);

/** Why a model of this architecture cannot answer, for people; null when it can. */
export function architectureRefusal(architecture: string): string | null {
  if (TEXT_GENERATION.has(architecture)) return null;
  const what = OTHERS.get(architecture);
  return what === undefined
    ? `The engine does not know the architecture \`${architecture}\`.`
    : `The architecture \`${architecture}\` is ${what}.`;
}

const RECURRENT: ReadonlySet<string> = new Set(['mamba', 'mamba2', 'rwkv6', 'rwkv6qwen2', 'rwkv7', 'arwkv7']);

/** Does it keep a state of fixed size for each sequence, and no KV cells? */
export function isRecurrent(architecture: string): boolean {
  return RECURRENT.has(architecture);
}
