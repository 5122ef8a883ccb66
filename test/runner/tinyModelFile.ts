import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TINY_SHAPE, type TinyModelShape, tinyModel } from '../../src/engine/selfTest/tinyModel.js';
import { type WritableMetadata, writeGguf } from '../../src/models/gguf/writer.js';

export interface TinyModelFile {
  readonly path: string;
  remove(): void;
}

/** A model with random weights and one token a byte. @param chatTemplate instead of its own */
export function tinyModelFile(chatTemplate?: string, shape: Partial<TinyModelShape> = {}): TinyModelFile {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-runner-'));
  const path = join(folder, 'tiny.gguf');
  const { metadata, tensors } = tinyModel({ ...TINY_SHAPE, ...shape });
  const changed = [...metadata].map(([key, value]): readonly [string, WritableMetadata] =>
    key === 'tokenizer.chat_template' && chatTemplate !== undefined
      ? [key, { type: 'string', value: chatTemplate }]
      : [key, value],
  );
  writeGguf(path, { metadata: changed, tensors });
  return { path, remove: () => rmSync(folder, { recursive: true, force: true }) };
}
