/**
 * What node-llama-cpp generates: reads `{ modelPath, prompts: number[][], tokens: number, flashAttention }` as JSON
 * from standard input, writes the greedy continuation of each prompt as JSON to standard output.
 */
import { getLlama, LlamaLogLevel } from 'node-llama-cpp';

const { modelPath, prompts, tokens, flashAttention } = JSON.parse(await readAll(process.stdin));
const llama = await getLlama({
  build: 'never',
  gpu: false,
  progressLogs: false,
  logLevel: LlamaLogLevel.error,
  maxThreads: 1,
});
const model = await llama.loadModel({ modelPath, gpuLayers: 0 });
const continuations = [];
for (const prompt of prompts) {
  const context = await model.createContext({ contextSize: 512, batchSize: 512, threads: 1, flashAttention });
  const sequence = context.getSequence();
  const generated = [];
  for await (const token of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    generated.push(token);
    if (generated.length >= tokens) break;
  }
  continuations.push(generated);
  await context.dispose();
}
await model.dispose();
await llama.dispose();
process.stdout.write(JSON.stringify(continuations));

async function readAll(stream) {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}
