/**
 * What llama.cpp takes for granted about a model file and answers with a failed assertion, which ends the process:
 * checked here first, so that such a file is refused with a reason. The GGUF reader has seen to the container.
 */
import { getNumber, getString } from '../../models/gguf/metadata.js';
import type { GgufFile, MetadataValue } from '../../models/gguf/types.js';
import { ShoalError } from '../../shared/errors.js';

/** `LLAMA_MAX_LAYERS` and `LLAMA_MAX_EXPERTS` */
const MAXIMUM_LAYERS = 512;
const MAXIMUM_EXPERTS = 1024;

/** Architectures whose graphs demand that keys, values and rotary positions have the same size. */
const SAME_HEAD_SIZES: ReadonlySet<string> = new Set([
  'granite',
  'llama',
  'mistral3',
  'olmo2',
  'qwen2',
  'qwen2moe',
  'qwen3',
  'qwen3moe',
]);

/** @throws {ShoalError} `model_unsupported`, naming the metadata that is wrong */
export function checkModelFile(file: GgufFile, path: string): void {
  refuse(vocabularyProblem(file) ?? hyperparameterProblem(file), path);
}

/** For shards, to which the vocabulary is not given. Throws as `checkModelFile` does. */
export function checkNetwork(file: GgufFile, path: string): void {
  refuse(hyperparameterProblem(file), path);
}

function refuse(problem: string | null, path: string): void {
  if (problem !== null) throw new ShoalError('model_unsupported', `${path}: ${problem}.`);
}

function hyperparameterProblem(file: GgufFile): string | null {
  const architecture = getString(file, 'general.architecture');
  if (architecture === null) return 'the metadata `general.architecture` is missing';
  const key = (name: string): string => `${architecture}.${name}`;

  const ranges: readonly (readonly [name: string, minimum: number, maximum: number])[] = [
    ['block_count', 1, MAXIMUM_LAYERS],
    ['expert_count', 0, MAXIMUM_EXPERTS],
    ['attention.layer_norm_rms_epsilon', 0, 1],
    ['attention.layer_norm_epsilon', 0, 1],
  ];
  for (const [name, minimum, maximum] of ranges) {
    const entry = file.metadata.get(key(name));
    if (entry === undefined || entry.type === 'array') continue;
    const value = Number(entry.value);
    if (value >= minimum && value <= maximum) continue;
    return `\`${key(name)}\` is ${value}, and must be from ${minimum} to ${maximum}`;
  }
  return SAME_HEAD_SIZES.has(architecture) ? headProblem(file, architecture) : null;
}

function headProblem(file: GgufFile, architecture: string): string | null {
  const number = (name: string): number | null => getNumber(file, `${architecture}.${name}`);
  const heads = number('attention.head_count');
  if (heads === null) return null;
  const usual = (number('embedding_length') ?? 0) / heads;
  const keySize = number('attention.key_length') ?? usual;
  const valueSize = number('attention.value_length') ?? usual;
  const rotarySize = number('rope.dimension_count') ?? keySize;
  if (keySize !== valueSize || keySize !== rotarySize) {
    return `the sizes of keys (${keySize}), values (${valueSize}) and rotary positions (${rotarySize}) differ`;
  }
  const outputsOf = (tensor: string): number | undefined =>
    file.tensors.find(({ name }) => name === `blk.0.${tensor}.weight`)?.dims[1];
  const queries = outputsOf('attn_q');
  if (!Number.isInteger(keySize) || (queries !== undefined && queries !== heads * keySize)) {
    return `${heads} heads of size ${keySize} do not fit a matrix of ${queries ?? 0} outputs`;
  }
  if (file.metadata.get(`${architecture}.attention.head_count_kv`)?.type === 'array') return null;
  const kvHeads = number('attention.head_count_kv') ?? heads;
  const keys = outputsOf('attn_k');
  if (keys !== undefined && keys !== kvHeads * keySize) {
    return `${kvHeads} key heads of size ${keySize} do not fit a matrix of ${keys} outputs`;
  }
  return null;
}

function vocabularyProblem(file: GgufFile): string | null {
  const tokens = file.metadata.get('tokenizer.ggml.tokens');
  const model = getString(file, 'tokenizer.ggml.model');
  if (tokens === undefined || model === null || model === 'none') return 'it has no vocabulary';
  if (tokens.type !== 'array' || tokens.elementType !== 'string')
    return 'the vocabulary is not a list of texts';
  const parallel: readonly (readonly [name: string, elementTypes: readonly string[]])[] = [
    ['tokenizer.ggml.scores', ['float32']],
    ['tokenizer.ggml.token_type', ['int32', 'uint32']],
  ];
  for (const [name, elementTypes] of parallel) {
    const list = file.metadata.get(name);
    if (list !== undefined && !isListOf(list, elementTypes, tokens.length)) {
      return `\`${name}\` is not a list of ${tokens.length} numbers (${elementTypes.join(' or ')})`;
    }
  }
  const merges = file.metadata.get('tokenizer.ggml.merges');
  if (merges !== undefined && !isListOf(merges, ['string'])) return 'the merges are not a list of texts';
  return duplicateProblem(tokens.value as readonly string[]);
}

function isListOf(value: MetadataValue, elementTypes: readonly string[], length?: number): boolean {
  if (value.type !== 'array' || !elementTypes.includes(value.elementType)) return false;
  return length === undefined || value.length === length;
}

/**
 * Texts are equal for llama.cpp when they are up to their first NUL. It names empty ones itself; and texts that are
 * not UTF-8 look alike once they are read here: both are left out.
 */
function duplicateProblem(tokens: readonly string[]): string | null {
  const seen = new Set<string>();
  for (const token of tokens) {
    const end = token.indexOf('\0');
    const text = end < 0 ? token : token.slice(0, end);
    if (text === '' || text.includes('\uFFFD')) continue;
    if (seen.has(text)) return `the vocabulary has the token ${JSON.stringify(text)} twice`;
    seen.add(text);
  }
  return null;
}
