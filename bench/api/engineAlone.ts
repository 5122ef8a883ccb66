/**
 * The engine by itself, in a process of its own, as the floor for the latency of the whole path: the same prompt and
 * the same number of greedy tokens, without template, sampler, scheduler, channel or HTTP. It prints a JSON array with
 * the milliseconds of each round.
 *
 *   node dist/bench/api/engineAlone.js MODEL_PATH THREADS PROMPT_TOKENS MAX_TOKENS ROUNDS
 */
import type { Engine } from '../../src/engine/contract.js';
import { openLlamaModel } from '../../src/engine/llama/open.js';

const [modelPath = '', ...numbers] = process.argv.slice(2);
const [threads = 1, promptTokens = 16, maxTokens = 1, rounds = 1] = numbers.map(Number);
const FIRST_TEXT_TOKEN = 300;

function step(engine: Engine, tokens: readonly number[], position: number): number {
  const outputs = new Uint8Array(tokens.length);
  outputs[tokens.length - 1] = 1;
  const result = engine.step({
    tokens: Int32Array.from(tokens),
    hidden: null,
    positions: Int32Array.from(tokens, (_, row) => position + row),
    sequences: new Int32Array(tokens.length),
    outputs,
  });
  if (result.kind !== 'logits') throw new Error(result.kind);
  const logits = result.rows[0] as Float32Array;
  let best = 0;
  for (let token = 1; token < logits.length; token += 1) {
    if ((logits[token] as number) > (logits[best] as number)) best = token;
  }
  return best;
}

const { engine } = openLlamaModel({ modelPath, batchRows: 512, sequences: 1, cells: 2048, threads });
const prompt = Array.from({ length: promptTokens }, (_, i) => FIRST_TEXT_TOKEN + i);
const times: number[] = [];
for (let round = 0; round < rounds; round += 1) {
  const started = performance.now();
  let token = step(engine, prompt, 0);
  for (let i = 1; i < maxTokens; i += 1) token = step(engine, [token], promptTokens + i - 1);
  times.push(performance.now() - started);
  engine.truncate(0, 0);
}
engine.close();
process.stdout.write(JSON.stringify(times));
