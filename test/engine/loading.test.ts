/** Loading: progress, cancelling, sizes, and which native package is taken. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ShoalError } from '../../src/shared/errors.js';
import { TEST_CAPACITY, temporaryFolder, tinyModel, tinyShape, withEngine, writeModel } from './support.js';

const LIMIT_MS = 60_000;
const model = tinyModel(tinyShape('qwen3'));
const path = writeModel(temporaryFolder(), 'loading', model);

it('R49: progress goes from 0 to 1 while the model is loaded', () => {
  const seen: number[] = [];
  withEngine(path, { onProgress: (fraction) => seen.push(fraction) > 0 }, () => undefined);
  assert.deepEqual(
    seen,
    [...seen].sort((a, b) => a - b),
  );
  assert.ok((seen[0] as number) >= 0);
  assert.equal(seen.at(-1), 1);
});

it('R49: loading ends when progress is answered with false, and with what the callback throws', () => {
  assert.throws(() => withEngine(path, { onProgress: () => false }, () => undefined), hasCode('cancelled'));
  const bug = new Error('a bug in the callback');
  const onProgress = (): boolean => {
    throw bug;
  };
  assert.throws(
    () => withEngine(path, { onProgress }, () => undefined),
    (error) => error === bug,
  );
});

it('R36: the engine says what it is, what it can hold and what it takes', () => {
  withEngine(path, {}, (engine) => {
    assert.equal(engine.shape.architecture, 'qwen3');
    assert.equal(engine.shape.endLayer, engine.shape.layerCount);
    assert.deepEqual(engine.backends, ['CPU']);
    const { batchRows, outputRows, sequences, cells } = TEST_CAPACITY;
    assert.deepEqual(engine.capacity, { batchRows, outputRows, sequences, cells });
    const weights = model.tensors.reduce((sum, tensor) => sum + tensor.data.length, 0);
    assert.ok(engine.memoryBytes >= weights);
  });
});

it('R71: sizes that cannot be are refused before native code sees them', () => {
  for (const wrong of [
    { batchRows: 0 },
    { sequences: 257 },
    { cells: -1 },
    { cells: 1.5 },
    { threads: 0 },
    { threads: 100_000 },
    { outputRows: Number.NaN },
  ]) {
    assert.throws(() => withEngine(path, wrong, () => undefined), hasCode('invalid_request'));
  }
});

it('R61: a native package that is asked for and not there is `engine_unavailable`', () => {
  const native = fileURLToPath(new URL('../../src/engine/llama/binding/native.js', import.meta.url));
  const source = `import(${JSON.stringify(native)}).then(({ native }) => native()).catch((e) => console.log(e.code, e.message))`;
  const { stdout } = spawnSync(process.execPath, ['-e', source], {
    encoding: 'utf8',
    timeout: LIMIT_MS,
    env: { ...process.env, SHOAL_ENGINE_PACKAGE: 'no-such-machine' },
  });
  assert.match(stdout, /^engine_unavailable .*no-such-machine/);
});

it('R42: opening, running and failing write nothing to standard error', () => {
  const open = fileURLToPath(new URL('../../src/engine/llama/open.js', import.meta.url));
  const source = `import(${JSON.stringify(open)}).then(({ openLlamaModel }) => {
    openLlamaModel({ modelPath: ${JSON.stringify(path)}, batchRows: 8, sequences: 1, cells: 64, threads: 1 }).engine.close();
  })`;
  const { status, stdout, stderr } = spawnSync(process.execPath, ['-e', source], {
    encoding: 'utf8',
    timeout: LIMIT_MS,
  });
  assert.deepEqual({ status, stdout, stderr }, { status: 0, stdout: '', stderr: '' });
});

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof ShoalError && error.code === code;
}
