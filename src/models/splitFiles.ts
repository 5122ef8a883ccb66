/** Models in several files: `NAME-00001-of-00003.gguf`, as llama.cpp's splitter names them. */
import { ShoalError } from '../shared/errors.js';
import { getNumber } from './gguf/metadata.js';
import { readGguf } from './gguf/reader.js';
import type { GgufFile } from './gguf/types.js';

const SPLIT_NAME = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/s;
const DIGITS = 5;

export interface SplitName {
  /** The path without the suffix. */
  readonly base: string;
  /** From 1. */
  readonly part: number;
  readonly parts: number;
}

/** Null for a file that is a whole model. */
export function parseSplitName(path: string): SplitName | null {
  const match = SPLIT_NAME.exec(path);
  if (match === null) return null;
  const [part, parts] = [Number(match[2]), Number(match[3])];
  return part >= 1 && part <= parts ? { base: match[1]!, part, parts } : null;
}

/** Paths of all parts of the model, in order. */
export function partPaths({ base, parts }: SplitName): string[] {
  const numbered = (part: number) => String(part).padStart(DIGITS, '0');
  return Array.from(
    { length: parts },
    (_, index) => `${base}-${numbered(index + 1)}-of-${numbered(parts)}.gguf`,
  );
}

/**
 * The parts as one file: metadata of the first, tensors of all, sizes summed.
 * @throws ShoalError `model_unsupported` when they do not belong together
 */
export function joinParts(parts: readonly GgufFile[], name: string): GgufFile {
  const first = parts[0]!;
  parts.forEach((part, index) => {
    const count = getNumber(part, 'split.count');
    const number = getNumber(part, 'split.no');
    if (count !== parts.length || number !== index) {
      throw new ShoalError(
        'model_unsupported',
        `${name}: part ${index + 1} of ${parts.length} says that it is part ${(number ?? 0) + 1} of ${count ?? 1}.`,
      );
    }
  });
  const tensors = parts.flatMap((part) => part.tensors);
  const expected = getNumber(first, 'split.tensors.count');
  if (expected !== null && expected !== tensors.length) {
    throw new ShoalError(
      'model_unsupported',
      `${name}: its parts have ${tensors.length} tensors instead of ${expected}.`,
    );
  }
  return { ...first, tensors, fileBytes: parts.reduce((sum, part) => sum + part.fileBytes, 0) };
}

/** The file of a model that the engine is given: its only one, or the first of all parts. */
export function firstPart(path: string): string {
  const split = parseSplitName(path);
  return split === null ? path : (partPaths(split)[0] as string);
}

/**
 * The header of a whole model.
 * @param path of its only file, or of any part
 * @throws ShoalError `model_not_found` or `model_unsupported`
 */
export function joinedHeader(path: string): GgufFile {
  const split = parseSplitName(path);
  return split === null
    ? readGguf(path)
    : joinParts(
        partPaths(split).map((part) => readGguf(part)),
        path,
      );
}
