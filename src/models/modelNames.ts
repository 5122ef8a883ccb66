/** From files to models: the parts of a split model belong together, and each model has a name of its own. */
import { stat } from 'node:fs/promises';
import { basename, dirname, sep } from 'node:path';
import type { ModelId } from '../shared/ids.js';
import type { FoundFile } from './modelFiles.js';
import { parseSplitName, partPaths } from './splitFiles.js';

export interface ModelFiles {
  readonly modelId: ModelId;
  /** The parts that are there, in order: one for a model in one file. */
  readonly files: readonly [FoundFile, ...FoundFile[]];
  /** File names of the parts that are not there. */
  readonly missing: readonly string[];
}

interface Group {
  /** The path without ending and split suffix. */
  readonly base: string;
  readonly files: [FoundFile, ...FoundFile[]];
  readonly expected: readonly string[];
}

/**
 * A model is called after its file. Where several have the same name, their folders are put in front, except for those
 * of `firstFolder`, which keep theirs; where even this is not enough, it is the whole path.
 */
export function groupFiles(files: readonly FoundFile[], firstFolder: string): ModelFiles[] {
  const groups = new Map<string, Group>();
  for (const file of files) {
    const split = parseSplitName(file.path);
    const expected = split === null ? [file.path] : partPaths(split);
    const group = groups.get(expected[0]!);
    if (group !== undefined) group.files.push(file);
    else groups.set(expected[0]!, { base: split?.base ?? withoutEnding(file.path), files: [file], expected });
  }
  const all = [...groups.values()];
  const isFirst = ({ base }: Group) => dirname(base) === firstFolder;
  const names = all.map((group) => {
    const sameName = all.filter((other) => basename(other.base) === basename(group.base));
    if (sameName.length === 1 || isFirst(group)) return basename(group.base);
    const sameFolder = sameName.filter((other) => withFolder(other.base) === withFolder(group.base));
    return sameFolder.length === 1 ? withFolder(group.base) : group.base.split(sep).join('/');
  });
  return all.map((group, index) => {
    group.files.sort((a, b) => (a.path < b.path ? -1 : 1));
    const present = new Set(group.files.map(({ path }) => path));
    return {
      modelId: names[index] as ModelId,
      files: group.files,
      missing: group.expected.filter((path) => !present.has(path)).map((path) => basename(path)),
    };
  });
}

/** The model in this file (an absolute path), or that this file is a part of; null when it is no GGUF file. */
export async function modelAt(path: string): Promise<ModelFiles | null> {
  if (!path.toLowerCase().endsWith('.gguf')) return null;
  const split = parseSplitName(path);
  const found: FoundFile[] = [];
  for (const part of split === null ? [path] : partPaths(split)) {
    const entry = await stat(part).catch(() => null);
    if (entry?.isFile()) found.push({ path: part, sizeBytes: entry.size, modifiedMs: entry.mtimeMs });
  }
  return groupFiles(found, dirname(path))[0] ?? null;
}

function withoutEnding(path: string): string {
  return path.slice(0, -'.gguf'.length);
}

function withFolder(base: string): string {
  return `${basename(dirname(base))}/${basename(base)}`;
}
