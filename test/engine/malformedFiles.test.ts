/** Broken and malicious model files end in a coded error, never in a dead process. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const LIMIT_MS = 120_000;

/** Runs `count` files of one kind in a process of their own, so that its death is seen. */
function opensInChild(kind: string, architecture: string, count: number): Readonly<Record<string, number>> {
  const child = fileURLToPath(new URL('malformedFilesChild.js', import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [child, kind, architecture, String(count)],
    {
      encoding: 'utf8',
      timeout: LIMIT_MS,
    },
  );
  assert.equal(signal, null, `died of ${signal} at ${stdout.trim().split('\n').at(-1)}\n${stderr}`);
  assert.equal(status, 0, stderr);
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '{}') as Record<string, number>;
}

for (const architecture of ['llama', 'qwen2', 'qwen3']) {
  describe(`files of ${architecture}`, () => {
    it('R61: cut off anywhere, a file is refused', () => {
      const outcomes = opensInChild('truncated', architecture, 150);
      assert.deepEqual(Object.keys(outcomes), ['model_unsupported']);
    });

    it('R61: with bytes of its header changed, a file is refused or runs, and never ends the process', () => {
      const outcomes = opensInChild('flipped', architecture, 400);
      for (const outcome of Object.keys(outcomes)) {
        assert.ok(['ran', 'model_unsupported', 'model_load_failed'].includes(outcome), outcome);
      }
      assert.ok((outcomes.model_unsupported ?? 0) > 0 && (outcomes.ran ?? 0) > 0);
    });

    it('R61: with bytes of its hyper-parameters changed, likewise', () => {
      const outcomes = opensInChild('hyperparameters', architecture, 400);
      for (const outcome of Object.keys(outcomes)) {
        assert.ok(['ran', 'model_unsupported', 'model_load_failed'].includes(outcome), outcome);
      }
    });
  });
}

it('R61: wrong magic, huge counts, an unknown architecture, no file, a folder: each has its code', () => {
  const outcomes = opensInChild('special', 'llama', 1);
  assert.deepEqual(outcomes, {
    'empty model_unsupported': 1,
    'magic model_unsupported': 1,
    'tensors model_unsupported': 1,
    'metadata model_unsupported': 1,
    'architecture model_unsupported': 1,
    'missing model_not_found': 1,
    'folder model_unsupported': 1,
  });
});
