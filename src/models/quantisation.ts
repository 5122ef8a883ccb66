/** The name of a model's quantisation, as people know it from file names. */
import { getNumber } from './gguf/metadata.js';
import type { GgufFile } from './gguf/types.js';

/** `general.file_type`: `llama_ftype` of llama.cpp. */
const FILE_TYPES: ReadonlyMap<number, string> = new Map([
  [0, 'F32'],
  [1, 'F16'],
  [2, 'Q4_0'],
  [3, 'Q4_1'],
  [7, 'Q8_0'],
  [8, 'Q5_0'],
  [9, 'Q5_1'],
  [10, 'Q2_K'],
  [11, 'Q3_K_S'],
  [12, 'Q3_K_M'],
  [13, 'Q3_K_L'],
  [14, 'Q4_K_S'],
  [15, 'Q4_K_M'],
  [16, 'Q5_K_S'],
  [17, 'Q5_K_M'],
  [18, 'Q6_K'],
  [19, 'IQ2_XXS'],
  [20, 'IQ2_XS'],
  [21, 'Q2_K_S'],
  [22, 'IQ3_XS'],
  [23, 'IQ3_XXS'],
  [24, 'IQ1_S'],
  [25, 'IQ4_NL'],
  [26, 'IQ3_S'],
  [27, 'IQ3_M'],
  [28, 'IQ2_S'],
  [29, 'IQ2_M'],
  [30, 'IQ4_XS'],
  [31, 'IQ1_M'],
  [32, 'BF16'],
  [36, 'TQ1_0'],
  [37, 'TQ2_0'],
  [38, 'MXFP4_MOE'],
  [39, 'NVFP4'],
  [40, 'Q1_0'],
]);

/** From `general.file_type`, else the number format that most bytes are in; null for a file without tensors. */
export function quantisationOf(gguf: GgufFile): string | null {
  const fileType = getNumber(gguf, 'general.file_type');
  const named = fileType === null ? undefined : FILE_TYPES.get(fileType);
  if (named !== undefined) return named;
  const bytes = new Map<string, number>();
  for (const { type, sizeBytes } of gguf.tensors) bytes.set(type, (bytes.get(type) ?? 0) + sizeBytes);
  return mostBytes(bytes)?.toUpperCase() ?? null;
}

/** The one that most bytes are in; null when there is none. */
export function mostBytes<T>(bytes: ReadonlyMap<T, number>): T | null {
  return [...bytes].sort(([, a], [, b]) => b - a)[0]?.[0] ?? null;
}
