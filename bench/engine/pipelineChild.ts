/**
 * A whole model or one shard behind pipes, for pipeline.ts: a `ChildPlan` as the only parameter; steps on standard input,
 * results on standard output as frames. The last shard answers with the likeliest token of each row that asked.
 */
import type { Engine, StepInput } from '../../src/engine/contract.js';
import { openLlamaModel } from '../../src/engine/llama/open.js';
import { openLlamaShard } from '../../src/engine/llama/shard/open.js';
import { encodeStep, readSteps } from './pipelineFrames.js';

export interface ChildPlan {
  readonly modelPath: string;
  /** Null for the whole model, as it runs without shards. */
  readonly layers: { readonly first: number; readonly end: number } | null;
  readonly threads: number;
  readonly polling: number;
}

const plan = JSON.parse(process.argv[2] ?? '{}') as ChildPlan;
const options = {
  modelPath: plan.modelPath,
  threads: plan.threads,
  polling: plan.polling,
  batchRows: 512,
  sequences: 8,
  cells: 4096,
};
const engine: Engine =
  plan.layers === null ? openLlamaModel(options).engine : openLlamaShard({ ...options, layers: plan.layers });

readSteps(process.stdin, ({ positions, sequences, outputs, numbers }) => {
  const takesTokens = engine.shape.firstLayer === 0;
  const input: StepInput = {
    tokens: takesTokens ? Int32Array.from(numbers) : null,
    hidden: takesTokens ? null : numbers,
    positions,
    sequences,
    outputs,
  };
  // A step at position 0 begins its sequences anew.
  for (const [row, sequence] of sequences.entries()) if (positions[row] === 0) engine.truncate(sequence, 0);
  const result = engine.step(input);
  if (result.kind === 'hidden') {
    process.stdout.write(encodeStep({ positions, sequences, outputs, numbers: result.hidden }));
  } else if (result.kind === 'logits') {
    const tokens = Float32Array.from(result.rows, likeliest);
    process.stdout.write(encodeStep({ positions, sequences, outputs, numbers: tokens }));
  } else throw new Error(`a step ended as ${result.kind}`);
});
process.stdin.on('end', () => engine.close());

function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token += 1) {
    if ((logits[token] as number) > (logits[best] as number)) best = token;
  }
  return best;
}
