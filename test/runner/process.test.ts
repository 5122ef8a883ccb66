/** How a runner process begins and ends. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { TIMES } from '../../src/shared/limits.js';
import { RUNNER_PROTOCOL_VERSION, type RunnerSettings } from '../../src/shared/runnerProtocol.js';
import { RunnerClient } from './runnerClient.js';
import { type TinyModelFile, tinyModelFile } from './tinyModelFile.js';

const LIMIT = { timeout: 60_000 };
let model: TinyModelFile;

before(() => {
  model = tinyModelFile();
});
after(() => model.remove());

async function withRunner(action: (runner: RunnerClient) => Promise<void>): Promise<void> {
  const runner = new RunnerClient();
  try {
    await action(runner);
  } finally {
    await runner.stop();
  }
}

test('R49: a runner greets, reports its phases in order, and tells about its model', LIMIT, async () => {
  await withRunner(async (runner) => {
    const hello = await runner.waitFor((message) => message.kind === 'hello');
    assert.deepEqual(hello, { kind: 'hello', version: RUNNER_PROTOCOL_VERSION, pid: runner.child.pid });
    runner.load(model.path);
    await runner.ready();
    const phases = runner.messages.filter((message) => message.kind === 'phase');
    const order = phases.map(({ phase }) => phase).filter((phase, index, all) => phase !== all[index - 1]);
    assert.deepEqual(order, ['loading', 'warming_up', 'ready']);
    const { model: facts } = phases.at(-1)!;
    assert.equal(facts?.architecture, 'qwen3');
    assert.deepEqual([facts?.contextTokens, facts?.cacheCells], [512, 4096]);
    assert.ok(facts!.backends.includes('CPU') && facts!.memoryBytes > 0);
  });
});

test(
  'R43: no memory goes into a core file, which would be written before the crash is known',
  LIMIT,
  async () => {
    await withRunner(async (runner) => {
      await runner.waitFor((message) => message.kind === 'hello');
      const filter = `/proc/${runner.child.pid}/coredump_filter`;
      if (existsSync('/proc/self/coredump_filter'))
        assert.equal(Number(`0x${readFileSync(filter, 'utf8')}`), 0);
    });
  },
);

test('a request that comes while the model loads is answered when it is ready', LIMIT, async () => {
  await withRunner(async (runner) => {
    runner.load(model.path);
    const collected = await runner.complete({ maxTokens: 3, ignoreEos: true });
    assert.equal(collected.tokens[0]!.length, 3);
  });
});

test(
  'R46: shutdown ends an idle, a busy, a loading and an empty runner with exit code 0',
  LIMIT,
  async () => {
    const states: ((runner: RunnerClient) => Promise<void>)[] = [
      async () => undefined,
      async (runner) => runner.load(model.path),
      async (runner) => {
        runner.load(model.path);
        await runner.ready();
      },
      async (runner) => {
        runner.load(model.path);
        await new Promise<void>((resolve) => {
          runner.generate(
            { maxTokens: 400, ignoreEos: true },
            (event) => event.kind === 'delta' && resolve(),
          );
        });
      },
    ];
    for (const prepare of states) {
      await withRunner(async (runner) => {
        await prepare(runner);
        runner.send({ kind: 'shutdown' });
        assert.deepEqual(await runner.exited, { code: 0, signal: null }, runner.stderr);
      });
    }
  },
);

test('R47: a runner whose channel closes ends at once, also in the middle of an answer', LIMIT, async () => {
  await withRunner(async (runner) => {
    runner.load(model.path);
    await new Promise<void>((resolve) => {
      runner.generate({ maxTokens: 400, ignoreEos: true }, (event) => event.kind === 'delta' && resolve());
    });
    runner.channel.destroy();
    await runner.exited;
  });
});

test('garbage on the channel is a fatal fault and ends the process with a code', LIMIT, async () => {
  const garbage = [Buffer.alloc(64, 0xff), Buffer.from([1, 0, 0, 0, 0xc1]), Buffer.from([1, 0, 0, 0, 7])];
  for (const bytes of garbage) {
    await withRunner(async (runner) => {
      await runner.waitFor((message) => message.kind === 'hello');
      runner.channel.write(bytes);
      const fatal = await runner.waitFor((message) => message.kind === 'fatal');
      assert.ok(fatal.kind === 'fatal' && fatal.fault.code === 'runner_failed');
      assert.deepEqual(await runner.exited, { code: 1, signal: null }, runner.stderr);
    });
  }
});

test('messages out of order are a fatal fault', LIMIT, async () => {
  await withRunner(async (runner) => {
    runner.generate({});
    const fatal = await runner.waitFor((message) => message.kind === 'fatal');
    assert.ok(fatal.kind === 'fatal' && fatal.fault.message.includes('before `load`'));
    assert.equal((await runner.exited).code, 1);
  });
});

test('a model that cannot be loaded is a fatal fault with its reason and exit code 1', LIMIT, async () => {
  const failures: [string, Partial<RunnerSettings>, string[]][] = [
    [`${model.path}.missing`, {}, ['model_not_found', 'model_load_failed']],
    [model.path, { cacheCells: 0 }, ['invalid_request', 'model_load_failed']],
  ];
  for (const [path, settings, codes] of failures) {
    await withRunner(async (runner) => {
      runner.load(path, settings);
      const fatal = await runner.waitFor((message) => message.kind === 'fatal');
      assert.ok(fatal.kind === 'fatal');
      assert.ok(codes.includes(fatal.fault.code), fatal.fault.code);
      assert.notEqual(fatal.fault.message, '');
      assert.equal((await runner.exited).code, 1);
    });
  }
});

test('an idle runner sleeps: its compute thread takes almost no processor time', LIMIT, async () => {
  await withRunner(async (runner) => {
    runner.load(model.path);
    await runner.ready();
    const beats = () => runner.messages.filter((message) => message.kind === 'heartbeat');
    const first = beats().length;
    await runner.waitFor(() => beats().length >= first + 4);
    const counters = beats().map((message) => message.pulse.counter);
    const perBeat = (counters.at(-1)! - counters[first]!) / (counters.length - 1 - first);
    // It wakes to beat, twice for each report, and not in a loop.
    assert.ok(perBeat <= 2 * TIMES.heartbeatMs, `${perBeat} turns of the loop in ${TIMES.heartbeatMs} ms`);
  });
});
