/** Measures this project's engine: a `Plan` as JSON on standard input, a `Measurement` on standard output. */
import { readFileSync } from 'node:fs';
import type { Engine } from '../../src/engine/contract.js';
import { openLlamaModel } from '../../src/engine/llama/open.js';
import { BATCH_ROWS, CELLS, type Measurement, type Part, type Plan, SEQUENCES } from './parts.js';

const plan = JSON.parse(readFileSync(0, 'utf8')) as Plan;
const started = performance.now();
const { engine } = openLlamaModel({
  modelPath: plan.modelPath,
  threads: plan.threads,
  batchRows: BATCH_ROWS,
  sequences: SEQUENCES,
  cells: CELLS,
});
const loadMs = performance.now() - started;
// Pages are read and threads are awake before the clock runs.
prefill(engine, 0, 32);
clear(engine);
const speeds: Record<string, number> = {};
for (const part of plan.parts) {
  speeds[part.name] = part.kind === 'decode' ? decodeSpeed(engine, part) : prefillSpeed(engine, part.tokens);
  clear(engine);
}
const measurement: Measurement = {
  loadMs,
  speeds,
  residentBytes: process.memoryUsage.rss(),
  proportionalBytes: proportionalBytes(),
};
process.stdout.write(JSON.stringify(measurement));
engine.close();

function decodeSpeed(engine: Engine, part: Part & { kind: 'decode' }): number {
  const sequences = Int32Array.from({ length: part.batch }, (_, sequence) => sequence);
  for (const sequence of sequences) prefill(engine, sequence, part.context);
  const tokens = new Int32Array(part.batch).fill(7);
  const outputs = new Uint8Array(part.batch).fill(1);
  const step = (position: number): void => {
    const positions = new Int32Array(part.batch).fill(position);
    const result = engine.step({ tokens, hidden: null, positions, sequences, outputs });
    if (result.kind !== 'logits') throw new Error(`a step ended as ${result.kind}`);
    for (const [row, logits] of result.rows.entries()) tokens[row] = argmax(logits);
  };
  const warmUp = 4;
  for (let index = 0; index < warmUp; index += 1) step(part.context + index);
  const start = performance.now();
  for (let index = 0; index < plan.decodeTokens; index += 1) step(part.context + warmUp + index);
  return (plan.decodeTokens * part.batch * 1000) / (performance.now() - start);
}

function prefillSpeed(engine: Engine, tokens: number): number {
  const start = performance.now();
  prefill(engine, 0, tokens);
  return (tokens * 1000) / (performance.now() - start);
}

function prefill(engine: Engine, sequence: number, length: number): void {
  for (let from = 0; from < length; from += BATCH_ROWS) {
    const rows = Math.min(BATCH_ROWS, length - from);
    engine.step({
      tokens: Int32Array.from({ length: rows }, (_, row) => 10 + ((from + row) % 200)),
      hidden: null,
      positions: Int32Array.from({ length: rows }, (_, row) => from + row),
      sequences: new Int32Array(rows).fill(sequence),
      outputs: Uint8Array.from({ length: rows }, (_, row) => (from + row === length - 1 ? 1 : 0)),
    });
  }
}

function clear(engine: Engine): void {
  for (let sequence = 0; sequence < SEQUENCES; sequence += 1) engine.truncate(sequence, 0);
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token += 1) {
    if ((logits[token] as number) > (logits[best] as number)) best = token;
  }
  return best;
}

function proportionalBytes(): number | null {
  if (process.platform !== 'linux') return null;
  const kibibytes = /^Pss:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/smaps_rollup', 'latin1'))?.[1];
  return kibibytes === undefined ? null : Number(kibibytes) * 1024;
}
