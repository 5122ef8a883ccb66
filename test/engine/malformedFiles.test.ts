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

const CODED = ['ran', 'model_unsupported', 'model_load_failed', 'sharding_unsupported'];

/** Of a whole file, or of a shard or slice of it. */
function assertCoded(outcomes: Readonly<Record<string, number>>): void {
  for (const outcome of Object.keys(outcomes))
    assert.ok(CODED.includes(outcome.replace(/^(shard|slice) /, '')), outcome);
}

for (const architecture of ['llama', 'qwen2', 'qwen3']) {
  describe(`files of ${architecture}`, () => {
    it('R61: cut off anywhere, a file is refused', () => {
      const outcomes = opensInChild('truncated', architecture, 100);
      assert.deepEqual(Object.keys(outcomes), [
        'model_unsupported',
        'shard model_unsupported',
        'slice model_unsupported',
      ]);
    });

    it('R61: with bytes of its header changed, a file is refused or runs, and never ends the process', () => {
      const outcomes = opensInChild('flipped', architecture, 200);
      assertCoded(outcomes);
      assert.ok((outcomes['shard ran'] ?? 0) > 0 && (outcomes['slice ran'] ?? 0) > 0);
      assert.ok((outcomes.model_unsupported ?? 0) > 0 && (outcomes.ran ?? 0) > 0);
    });

    it('R61: with bytes of its hyper-parameters changed, likewise', () => {
      const outcomes = opensInChild('hyperparameters', architecture, 200);
      assertCoded(outcomes);
    });
  });
}

it('R61: wrong magic, huge counts, an unknown architecture, no file, a folder: each has its code', () => {
  const outcomes = opensInChild('special', 'llama', 1);
  const expected = {
    'empty ': 'model_unsupported',
    'magic ': 'model_unsupported',
    'tensors ': 'model_unsupported',
    'metadata ': 'model_unsupported',
    'architecture ': 'model_unsupported',
    'missing ': 'model_not_found',
    'folder ': 'model_unsupported',
  };
  for (const [file, code] of Object.entries(expected)) {
    assert.equal(outcomes[file + code], 1, file);
    // Whether an architecture may be cut is asked before anything else.
    const shardCode = file === 'architecture ' ? 'sharding_unsupported' : code;
    assert.equal(outcomes[`${file}shard ${shardCode}`], 2, file);
  }
});
