/** Ending a step from another thread. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Worker } from 'node:worker_threads';
import {
  compute,
  rowsOf,
  stepInput,
  temporaryFolder,
  tinyModel,
  tinyShape,
  withEngine,
  writeModel,
} from './support.js';

const folder = temporaryFolder();
const PROMPT = [5, 250, 17, 99, 3, 120];

it('R64: a set abort flag ends steps before they begin, and nothing has changed', () => {
  const path = writeModel(folder, 'small', tinyModel(tinyShape('qwen3')));
  withEngine(path, {}, (engine) => {
    compute(engine, rowsOf(PROMPT, 0));
    const undisturbed = compute(engine, rowsOf([9], 0, PROMPT.length));
    engine.truncate(0, PROMPT.length);
    engine.abortFlag[0] = 1;
    assert.deepEqual(engine.step(stepInput(rowsOf([9], 0, PROMPT.length))), { kind: 'aborted' });
    assert.deepEqual(engine.step(stepInput(rowsOf(PROMPT, 1))), { kind: 'aborted' });
    engine.abortFlag[0] = 0;
    assert.deepEqual(compute(engine, rowsOf([9], 0, PROMPT.length)), undisturbed);
    assert.equal(compute(engine, rowsOf(PROMPT, 1)).length, PROMPT.length);
  });
});

it('R64: the flag, set by another thread, ends a running step and removes its cells', async () => {
  const rows = 512;
  const shape = tinyShape('llama', {
    layers: 16,
    hiddenSize: 256,
    heads: 8,
    headSize: 32,
    feedForwardSize: 1024,
  });
  const path = writeModel(folder, 'slow', tinyModel(shape));
  const capacity = { batchRows: rows, outputRows: 4, cells: rows + PROMPT.length + 1 };
  const tokens = Array.from({ length: rows }, (_, index) => (index * 7) % 200);
  const chunk = stepInput(rowsOf(tokens, 1, 0, false));

  let alone: Float32Array[] = [];
  withEngine(path, capacity, (engine) => {
    compute(engine, rowsOf(PROMPT, 0, 0, false));
    alone = compute(engine, rowsOf([9], 0, PROMPT.length));
  });

  const control = new Int32Array(new SharedArrayBuffer(8));
  let worker: Worker | undefined;
  try {
    const { openLlamaModel } = await import('../../src/engine/llama/open.js');
    const { engine } = openLlamaModel({ modelPath: path, sequences: 4, threads: 1, ...capacity });
    try {
      compute(engine, rowsOf(PROMPT, 0, 0, false));
      worker = await startAborter(engine.abortFlag.buffer as SharedArrayBuffer, control);
      Atomics.store(control, 0, 1);
      Atomics.notify(control, 0);
      assert.deepEqual(engine.step(chunk), { kind: 'aborted' });
      // The flag was 0 when the step began: the step itself was ended.
      assert.equal(Atomics.load(control, 1), 1);
      engine.abortFlag[0] = 0;
      assert.deepEqual(compute(engine, rowsOf([9], 0, PROMPT.length)), alone);
      // All cells of the aborted rows are free: exactly this many are left.
      assert.equal(engine.step(chunk).kind, 'logits');
      assert.equal(engine.step(stepInput(rowsOf([1], 2))).kind, 'no_room');
    } finally {
      engine.close();
    }
  } finally {
    await worker?.terminate();
  }
});

/** A thread that sets the flag a moment after it is told to, and says so. */
function startAborter(flag: SharedArrayBuffer, control: Int32Array): Promise<Worker> {
  const source = `
    const { workerData, parentPort } = require('node:worker_threads');
    const flag = new Uint8Array(workerData.flag);
    const control = new Int32Array(workerData.control);
    parentPort.postMessage('ready');
    Atomics.wait(control, 0, 0, 60000);
    Atomics.wait(control, 1, 0, 10);
    Atomics.store(control, 1, flag[0] === 0 ? 1 : 2);
    flag[0] = 1;`;
  const worker = new Worker(source, { eval: true, workerData: { flag, control: control.buffer } });
  return new Promise((resolve, reject) => {
    worker.once('message', () => resolve(worker));
    worker.once('error', reject);
  });
}
