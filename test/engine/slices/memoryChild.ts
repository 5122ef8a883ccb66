/**
 * Loads a slice, computes a full step and one token, and prints what the process has in memory then, in bytes:
 * `PATH RANK WORLD_SIZE CELLS ROWS SEQUENCES`. What the other ranks would add is left out: it takes no memory.
 */
import { openTensorSlice } from '../../../src/engine/llama/slice/open.js';
import { ownResidentBytes } from '../residentMemory.js';

const [modelPath = '', ...numbers] = process.argv.slice(2);
const [rank = 0, worldSize = 1, cells = 0, batchRows = 0, sequences = 0] = numbers.map(Number);
const slice = openTensorSlice({
  modelPath,
  rank,
  worldSize,
  cells,
  batchRows,
  sequences,
  // A second one would change nothing in memory, and spin while it waits for the first.
  threads: 1,
  allReduce: {
    allocate: (length) => new Float32Array(new SharedArrayBuffer(length * Float32Array.BYTES_PER_ELEMENT)),
    sum: () => undefined,
  },
});
step(0, batchRows);
step(batchRows, 1);
process.stdout.write(String(ownResidentBytes()));
slice.close();

function step(from: number, rows: number): void {
  const result = slice.step({
    tokens: Int32Array.from({ length: rows }, (_, row) => row % 200),
    hidden: null,
    positions: Int32Array.from({ length: rows }, (_, row) => from + row),
    sequences: new Int32Array(rows),
    outputs: Uint8Array.from({ length: rows }, (_, row) => (row < sequences ? 1 : 0)),
  });
  if (result.kind !== 'logits' && result.kind !== 'added') throw new Error(`a step ended as ${result.kind}`);
}
