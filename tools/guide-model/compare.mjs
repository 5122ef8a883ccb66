// The llama.cpp half of compare.py: tokenizes texts and gives the probabilities of the next token along prompts.
//   node compare.mjs LLAMA_DIR MODEL.gguf REQUEST.json REPLY.json
import { readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [llamaFolder, modelPath, requestPath, replyPath] = process.argv.slice(2);
const entry = createRequire(join(resolve(llamaFolder), 'package.json')).resolve('node-llama-cpp');
const { getLlama, LlamaLogLevel } = await import(pathToFileURL(entry));
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1, logLevel: LlamaLogLevel.error });
const model = await llama.loadModel({ modelPath: resolve(modelPath) });
const { texts, prompts } = JSON.parse(readFileSync(requestPath, 'utf8'));
const tokens = texts.map((text) => Array.from(model.tokenize(text, true)));

const context = await model.createContext({ contextSize: 2048, sequences: 1, threads: 1 });
const sequence = context.getSequence();
const steps = [];
for (const prompt of prompts) {
  await sequence.clearHistory();
  const wanted = (position) => position % 7 === 0 || position === prompt.length - 1;
  const found = await sequence.controlledEvaluate(
    prompt.map((token, position) =>
      wanted(position)
        ? [token, { generateNext: { probabilities: true, options: { temperature: 1, topK: 0, topP: 1 } } }]
        : token,
    ),
  );
  steps.push(
    prompt.flatMap((_, position) => {
      if (!wanted(position)) return [];
      const probabilities = [...found[position].next.probabilities];
      return [[position, { best: probabilities[0][0], probabilities: probabilities.slice(0, 20) }]];
    }),
  );
}
writeFileSync(replyPath, JSON.stringify({ tokens, steps }));
await llama.dispose();
