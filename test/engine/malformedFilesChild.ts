/**
 * Opens broken model files, whole, as shards and as slices, one after the other: `KIND ARCHITECTURE COUNT`. Prints each
 * before it is tried, and at the end how often each outcome was seen.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Engine, SliceSums } from '../../src/engine/contract.js';
import { openLlamaModel } from '../../src/engine/llama/open.js';
import { openLlamaShard } from '../../src/engine/llama/shard/open.js';
import { openTensorSlice } from '../../src/engine/llama/slice/open.js';
import { TINY_SHAPE, type TinyModelShape, tinyModel } from '../../src/engine/selfTest/tinyModel.js';
import { readGguf } from '../../src/models/gguf/reader.js';
import { writeGguf } from '../../src/models/gguf/writer.js';
import { ShoalError } from '../../src/shared/errors.js';

/** Sums without what other ranks would add. */
const alone: SliceSums = {
  allocate: (length) => new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT)),
  sum: () => undefined,
};
const CAPACITY = { batchRows: 16, sequences: 2, cells: 64, threads: 1 } as const;
const [kind = '', architecture = 'llama', count = '0'] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'shoal-malformed-'));
const path = join(folder, 'model.gguf');
const headSize = architecture === 'qwen2' ? TINY_SHAPE.hiddenSize / TINY_SHAPE.heads : TINY_SHAPE.headSize;
writeGguf(
  path,
  tinyModel({ ...TINY_SHAPE, architecture: architecture as TinyModelShape['architecture'], headSize }),
);
const intact = readFileSync(path);
const headerBytes = readGguf(path).dataOffset;
const hyperparameterBytes = intact.indexOf('tokenizer.ggml.tokens');
const outcomes: Record<string, number> = {};

try {
  if (kind === 'special') trySpecialFiles();
  else for (let seed = 0; seed < Number(count); seed += 1) tryBroken(seed);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.stdout.write(`${JSON.stringify(outcomes)}\n`);

function tryBroken(seed: number): void {
  const random = generator(seed);
  const bytes = Buffer.from(intact);
  const changes: string[] = [];
  if (kind === 'truncated') {
    const length = random(intact.length);
    attempt('', bytes.subarray(0, length), `cut at ${length}`);
    return;
  }
  const region = kind === 'flipped' ? headerBytes : hyperparameterBytes;
  for (let change = random(3); change >= 0; change -= 1) {
    const offset = random(region);
    const values = [random(256), 0, 255, 1, (bytes[offset] as number) ^ (1 << random(8))];
    bytes[offset] = values[random(values.length)] as number;
    changes.push(`${offset}=${bytes[offset]}`);
  }
  attempt('', bytes, changes.join(' '));
}

function trySpecialFiles(): void {
  const withNumber = (offset: number, value: bigint): Buffer => {
    const bytes = Buffer.from(intact);
    bytes.writeBigUInt64LE(value, offset);
    return bytes;
  };
  attempt('empty ', Buffer.alloc(0), 'empty');
  attempt('magic ', Buffer.concat([Buffer.from('GGML'), intact.subarray(4)]), 'magic');
  attempt('tensors ', withNumber(8, 2n ** 62n), 'tensors');
  attempt('metadata ', withNumber(16, 2n ** 40n), 'metadata');
  attempt(
    'architecture ',
    Buffer.from(intact.toString('latin1').replaceAll('llama', 'lllll'), 'latin1'),
    'arch',
  );
  open('missing ', join(folder, 'missing.gguf'));
  open('folder ', folder);
}

function attempt(prefix: string, bytes: Uint8Array, note: string): void {
  process.stdout.write(`${note}\n`);
  writeFileSync(path, bytes);
  open(prefix, path);
}

function open(prefix: string, modelPath: string): void {
  note(prefix, () => {
    const { engine, tokenizer } = openLlamaModel({ modelPath, ...CAPACITY });
    try {
      compute(engine);
      tokenizer.encode([{ text: 'hi <|end|> é', control: true }], true);
    } finally {
      engine.close();
    }
  });
  for (const first of [0, 1]) {
    note(`${prefix}shard `, () => {
      const engine = openLlamaShard({ modelPath, ...CAPACITY, layers: { first, end: first + 1 } });
      try {
        compute(engine);
      } finally {
        engine.close();
      }
    });
    note(`${prefix}slice `, () => {
      const engine = openTensorSlice({ modelPath, ...CAPACITY, rank: first, worldSize: 2, allReduce: alone });
      try {
        compute(engine);
      } finally {
        engine.close();
      }
    });
  }
}

function compute(engine: Engine): void {
  const isFirst = engine.shape.firstLayer === 0;
  engine.step({
    tokens: isFirst ? Int32Array.of(1, 2) : null,
    hidden: isFirst ? null : new Float32Array(2 * engine.shape.hiddenSize),
    positions: Int32Array.of(0, 1),
    sequences: Int32Array.of(0, 0),
    outputs: Uint8Array.of(0, 1),
  });
}

function note(prefix: string, action: () => void): void {
  let outcome = 'ran';
  try {
    action();
  } catch (error) {
    outcome = error instanceof ShoalError ? error.code : `not coded: ${String(error)}`;
  }
  const key = prefix + outcome;
  outcomes[key] = (outcomes[key] ?? 0) + 1;
}

function generator(seed: number): (limit: number) => number {
  let state = Math.imul(seed + 1, 2_654_435_761) >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}
