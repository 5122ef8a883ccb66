/** The engine in a worker thread, as runners have it: computing there never blocks the thread that answers. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { compute, rowsOf, temporaryFolder, tinyModel, tinyShape, withEngine, writeModel } from './support.js';

const path = writeModel(temporaryFolder(), 'worker', tinyModel(tinyShape('llama')));
const PROMPT = [5, 250, 17];

it('R42: threads that come and go, closed or not, leave the engine usable in others', async () => {
  let expected: number[] = [];
  withEngine(path, {}, (engine) => {
    expected = [...(compute(engine, rowsOf(PROMPT)).at(-1) as Float32Array)];
  });
  for (const closes of [true, false, true]) {
    assert.deepEqual(await computeInWorker(closes), expected);
  }
  withEngine(path, {}, (engine) => {
    assert.deepEqual([...(compute(engine, rowsOf(PROMPT)).at(-1) as Float32Array)], expected);
  });
});

function computeInWorker(closes: boolean): Promise<number[]> {
  const support = fileURLToPath(new URL('support.js', import.meta.url));
  const open = fileURLToPath(new URL('../../src/engine/llama/open.js', import.meta.url));
  const source = `
    (async () => {
      const { parentPort, workerData } = require('node:worker_threads');
      const { openLlamaModel } = await import(workerData.open);
      const { compute, rowsOf, TEST_CAPACITY } = await import(workerData.support);
      const { engine } = openLlamaModel({ modelPath: workerData.path, ...TEST_CAPACITY });
      parentPort.postMessage([...compute(engine, rowsOf(workerData.prompt)).at(-1)]);
      if (workerData.closes) engine.close();
    })();`;
  const worker = new Worker(source, {
    eval: true,
    workerData: { support, open, path, prompt: PROMPT, closes },
  });
  return new Promise((resolve, reject) => {
    let result: number[] = [];
    worker.once('message', (message: number[]) => {
      result = message;
    });
    worker.once('error', reject);
    worker.once('exit', () => resolve(result));
  });
}
