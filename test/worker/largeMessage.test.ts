/** A message of 100 MB, in either direction: it costs its sender, and nobody else. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import type { GenerationEvent } from '../../src/shared/generation.js';
import type { GenerationStream } from '../../src/shared/generationStream.js';
import { LIMITS } from '../../src/shared/limits.js';
import { TEST_REQUEST as request } from '../../src/shared/testing.js';
import { SupervisorBench } from './supervisorBench.js';

const LIMIT = { timeout: 60_000 };
const LARGE_BYTES = 100_000_000;

function bench(context: TestContext, behaviour: string): SupervisorBench {
  const made = new SupervisorBench(behaviour);
  context.after(() => made.supervisor.stop());
  return made;
}

/** Reads on until it has so many more tokens. */
async function goesOn(events: AsyncIterator<GenerationEvent>, tokens: number): Promise<void> {
  for (let count = 0; count < tokens; ) {
    const { value, done } = await events.next();
    assert.ok(done !== true && value.kind !== 'failed', 'the stream goes on');
    if (value.kind === 'delta') count += 1;
  }
}

async function running(made: SupervisorBench): Promise<[GenerationStream, AsyncIterator<GenerationEvent>]> {
  await made.until('ready');
  const stream = made.supervisor.generate(request);
  const events = stream[Symbol.asyncIterator]();
  await goesOn(events, 3);
  return [stream, events];
}

test(
  'R12, R45: a runner that sends 100 MB is ended at the header; what others stream goes on',
  LIMIT,
  async (context) => {
    const neighbour = bench(context, 'normal');
    const [, events] = await running(neighbour);
    const before = process.memoryUsage().arrayBuffers;
    const made = bench(context, 'a message of 100 MB');
    await made.until('failed');
    assert.equal(made.failures.length, 1);
    assert.match(made.failures[0]?.message ?? '', /100000000 bytes is over the limit/);
    const grownBytes = process.memoryUsage().arrayBuffers - before;
    assert.ok(grownBytes < LIMITS.runnerFrameBytes, `${grownBytes} bytes were taken in`);
    await goesOn(events, 20);
    assert.deepEqual(neighbour.failures, []);
  },
);

test('R12: messages of 10 MB, which are within the limit, arrive whole', LIMIT, async (context) => {
  const made = bench(context, 'long-winded');
  await made.until('ready');
  let bytes = 0;
  for await (const event of made.supervisor.generate(request)) {
    assert.notEqual(event.kind, 'failed');
    if (event.kind === 'delta') bytes += event.text.length;
    if (bytes >= LARGE_BYTES) break;
  }
  assert.equal(bytes, LARGE_BYTES);
  assert.deepEqual(made.failures, []);
});

test(
  'R12: a request of 100 MB is refused, and the runner goes on with its others',
  LIMIT,
  async (context) => {
    const made = bench(context, 'normal');
    const [, events] = await running(made);
    const large = { ...request, input: { kind: 'text', text: 'x'.repeat(LARGE_BYTES) } } as const;
    const end = await made.supervisor.generate(large).ended;
    assert.ok(end.kind === 'failed');
    assert.equal(end.fault.code, 'request_too_large');
    await goesOn(events, 20);
    assert.deepEqual(made.failures, []);
  },
);
