/**
 * Loads a shard, computes a full step and one token, and prints what the process has in memory then, in bytes:
 * `PATH FIRST END CELLS ROWS SEQUENCES`.
 */
import { openLlamaShard } from '../../../src/engine/llama/shard/open.js';
import { ownResidentBytes } from '../residentMemory.js';

const [modelPath = '', ...numbers] = process.argv.slice(2);
const [first = 0, end = 0, cells = 0, batchRows = 0, sequences = 0] = numbers.map(Number);
const shard = openLlamaShard({
  modelPath,
  layers: { first, end },
  cells,
  batchRows,
  sequences,
  // A second one would change nothing in memory, and spin while it waits for the first.
  threads: 1,
});
step(0, batchRows);
step(batchRows, 1);
process.stdout.write(String(ownResidentBytes()));
shard.close();

function step(from: number, rows: number): void {
  const isFirst = first === 0;
  const result = shard.step({
    tokens: isFirst ? Int32Array.from({ length: rows }, (_, row) => row % 200) : null,
    hidden: isFirst ? null : new Float32Array(rows * shard.shape.hiddenSize).fill(0.3),
    positions: Int32Array.from({ length: rows }, (_, row) => from + row),
    sequences: new Int32Array(rows),
    outputs: Uint8Array.from({ length: rows }, (_, row) => (row < sequences ? 1 : 0)),
  });
  if (result.kind !== 'hidden' && result.kind !== 'logits') throw new Error(`a step ended as ${result.kind}`);
}
