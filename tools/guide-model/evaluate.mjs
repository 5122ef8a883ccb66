// Asks the model the held-out questions of evaluation.json through llama.cpp, at temperature 0, and prints the
// pass rate and every failure. llama.cpp comes from the npm package node-llama-cpp, found in the folder --llama.
//
//   node evaluate.mjs --llama DIR --model FILE.gguf [--questions FILE.json] [--out REPORT.json] [--show] [--ask "QUESTION"]
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    llama: { type: 'string', default: '.' },
    model: { type: 'string' },
    questions: { type: 'string' },
    out: { type: 'string' },
    show: { type: 'boolean', default: false },
    ask: { type: 'string', multiple: true },
    temperature: { type: 'string', default: '0' },
    'max-tokens': { type: 'string', default: '1600' },
  },
});

const entry = createRequire(join(resolve(options.llama), 'package.json')).resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry));
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: resolve(options.model) });
const context = await model.createContext({ contextSize: 2048, sequences: 1, threads: 1 });
const sequence = context.getSequence();

/** The answer to one question, as the chat template puts it. */
async function answer(question) {
  await sequence.clearHistory();
  const prompt = model.tokenize(`<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`, true);
  const tokens = [];
  for await (const token of sequence.evaluate(prompt, { temperature: Number(options.temperature) })) {
    if (model.isEogToken(token) || tokens.push(token) >= Number(options['max-tokens'])) break;
  }
  return {
    text: model.detokenize(tokens),
    tokens: tokens.length,
    ended: tokens.length < Number(options['max-tokens']),
  };
}

/** Whether `text` matches every expression of `expect`; a leading (?s) lets the dot match line ends. */
function passes(text, expect) {
  return expect.every((source) =>
    new RegExp(source.replace('(?s)', ''), source.startsWith('(?s)') ? 'is' : 'i').test(text),
  );
}

if (options.ask) {
  for (const question of options.ask) console.log(`Q: ${question}\nA: ${(await answer(question)).text}\n`);
} else {
  const entries = JSON.parse(
    readFileSync(options.questions ?? new URL('./evaluation.json', import.meta.url), 'utf8'),
  );
  const results = [];
  for (const { question, expect } of entries) {
    const got = await answer(question);
    results.push({ question, passed: got.ended && passes(got.text, expect), ...got });
    const { passed } = results.at(-1);
    if (!passed || options.show)
      console.log(`${passed ? 'pass' : 'FAIL'}: ${question}\n      ${got.text.slice(0, 400)}`);
  }
  const passed = results.filter((result) => result.passed).length;
  console.log(`passed ${passed} of ${results.length}: ${((100 * passed) / results.length).toFixed(1)} %`);
  if (options.out) writeFileSync(options.out, JSON.stringify(results, null, 1));
}
await llama.dispose();
