import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { GenerationEvent } from './generation.js';
import { GenerationStream } from './generationStream.js';

const delta = (text: string): GenerationEvent => ({ kind: 'delta', choice: 0, text, tokens: [1] });
const FAULT = { code: 'runner_failed', message: 'gone' } as const;

test('R1: a stream ends exactly once; what comes after the end is dropped', async () => {
  const stream = new GenerationStream();
  stream.push(delta('a'));
  stream.fail(FAULT);
  stream.push(delta('late'));
  stream.fail({ code: 'cancelled', message: 'late' });
  const events: GenerationEvent[] = [];
  for await (const event of stream) events.push(event);
  assert.deepEqual(events, [delta('a'), { kind: 'failed', fault: FAULT }]);
  assert.deepEqual(await stream.ended, { kind: 'failed', fault: FAULT });
});

test('R11: leaving the loop tells the producer to stop, once', async () => {
  const stream = new GenerationStream();
  let aborts = 0;
  stream.onAborted(() => {
    aborts += 1;
  });
  stream.push(delta('a'));
  for await (const event of stream) {
    assert.deepEqual(event, delta('a'));
    break;
  }
  stream.abort(FAULT);
  assert.equal(aborts, 1);
  const end = await stream.ended;
  assert.equal(end.kind === 'failed' && end.fault.code, 'cancelled');
});

test('a reader that waits is woken by the end', async () => {
  const stream = new GenerationStream();
  const reading = (async () => {
    const kinds: string[] = [];
    for await (const event of stream) kinds.push(event.kind);
    return kinds;
  })();
  await new Promise((resolve) => setImmediate(resolve));
  stream.abort(FAULT);
  assert.deepEqual(await reading, ['failed']);
});
