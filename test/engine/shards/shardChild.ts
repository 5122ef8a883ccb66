/**
 * One shard in a process of its own: `PATH FIRST END`. Steps come as frames on standard input, and results go as frames
 * to standard output, which may be the standard input of the next shard.
 */
import type { StepInput } from '../../../src/engine/contract.js';
import { openLlamaShard } from '../../../src/engine/llama/shard/open.js';
import { TEST_CAPACITY } from '../support.js';
import { encodeFrame, FrameReader } from './frames.js';

const [modelPath = '', first = '0', end = '0'] = process.argv.slice(2);
const shard = openLlamaShard({
  modelPath,
  ...TEST_CAPACITY,
  layers: { first: Number(first), end: Number(end) },
});
const frames = new FrameReader();
process.stdin.on('data', (chunk: Buffer) => {
  for (const { rows, numbers } of frames.read(chunk)) {
    const isFirst = shard.shape.firstLayer === 0;
    const input: StepInput = {
      tokens: isFirst ? Int32Array.from(numbers) : null,
      hidden: isFirst ? null : numbers,
      positions: Int32Array.from(rows, ({ position }) => position),
      sequences: Int32Array.from(rows, ({ sequence }) => sequence),
      outputs: Uint8Array.from(rows, ({ output }) => (output ? 1 : 0)),
    };
    const result = shard.step(input);
    if (result.kind === 'hidden') process.stdout.write(encodeFrame(rows, result.hidden));
    else if (result.kind === 'logits') {
      process.stdout.write(encodeFrame(rows, Float32Array.from(result.rows.flatMap((row) => [...row]))));
    } else throw new Error(`a step ended as ${result.kind}`);
  }
});
process.stdin.on('end', () => shard.close());
