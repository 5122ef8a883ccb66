import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { WATCH_LIMITS } from '../../src/control/runnerWatch.js';
import { LIMITS } from '../../src/shared/limits.js';
import { TEST_REQUEST as request } from '../../src/shared/testing.js';
import { isAlive } from '../support/nodeProcess.js';
import { SupervisorBench } from './supervisorBench.js';

const BOUND_MS = 20_000;

/** A supervisor that is stopped when its test ends. */
function bench(context: TestContext, behaviour: string): SupervisorBench {
  const made = new SupervisorBench(behaviour);
  context.after(() => made.supervisor.stop());
  return made;
}

const faults: [behaviour: string, code: string, message: RegExp][] = [
  ['exit with 1', 'runner_failed', /Exited \(code=1\)/],
  ['exit with 0', 'runner_failed', /Exited \(code=0\)/],
  ['abort', 'runner_failed', /Terminated \(signal=6 SIGABRT\)/],
  ['garbage', 'runner_failed', /garbage/],
  ['a frame of 4 GB', 'runner_failed', /over the limit/],
  ['an unknown message', 'runner_failed', /nonsense/],
  ['an illegal move', 'runner_failed', /from connecting to ready/],
  ['fatal and exit', 'model_load_failed', /the file is torn/],
  ['fatal without code', 'runner_failed', /garbage: a fault without code/],
  ['fatal without end', 'model_load_failed', /the file is torn/],
];

describe('a supervisor', { concurrency: 4 }, () => {
  for (const [behaviour, code, message] of faults) {
    test(`R43, R45: ${behaviour}: one failure report with cause and phase`, {
      timeout: BOUND_MS,
    }, async (context) => {
      const made = bench(context, behaviour);
      const waiting = made.supervisor.generate(request);
      const failed = await made.until('failed');
      assert.equal(made.failures.length, 1);
      assert.equal(made.failures[0]?.code, code);
      assert.match(made.failures[0]?.message ?? '', message);
      assert.ok(
        JSON.stringify(made.failures[0]).length < LIMITS.controlRecordBytes,
        'the log has room for it',
      );
      assert.equal(made.failures[0]?.phase, 'connecting');
      assert.ok(failed.restartAt !== null, 'a restart is planned');
      const end = await waiting.ended;
      assert.ok(end.kind === 'failed' && message.test(end.fault.message), 'the waiting request is released');
    });
  }

  test('R44: a runner that says it is done for, and then hangs, is killed with its own cause', {
    timeout: BOUND_MS,
  }, async (context) => {
    const made = bench(context, 'fatal and hang');
    await made.until('failed');
    assert.equal(made.failures.length, 1);
    assert.equal(made.failures[0]?.code, 'model_load_failed');
    assert.match(made.failures[0]?.message ?? '', /the file is torn; Terminated \(signal=9 SIGKILL\)/);
  });

  test('R45: the report has the last lines of stderr, bounded', { timeout: BOUND_MS }, async (context) => {
    const made = bench(context, 'flood stderr and exit');
    await made.until('failed');
    const tail = made.failures[0]?.stderrTail ?? [];
    assert.equal(tail.at(-1), 'last words');
    assert.ok(tail.length <= LIMITS.stderrTailLines + 1);
    assert.ok(tail.every((line) => line.length <= LIMITS.stderrLineCharacters));
  });

  for (const signal of ['SIGKILL', 'SIGTERM', 'SIGHUP', 'SIGSEGV'] as const) {
    test(`R6: ${signal} in mid-stream ends the stream with the cause`, {
      timeout: BOUND_MS,
    }, async (context) => {
      const made = bench(context, 'normal');
      await made.until('ready');
      const stream = made.supervisor.generate(request);
      let tokens = 0;
      for await (const event of stream) {
        if (event.kind === 'delta') {
          tokens += 1;
          if (tokens === 3) process.kill(made.pid, signal);
        }
        if (event.kind !== 'failed') continue;
        assert.equal(event.fault.code, 'runner_failed');
        assert.match(event.fault.message, signal === 'SIGTERM' ? /Exited \(code=0\)/ : new RegExp(signal));
      }
      assert.ok(tokens >= 3);
      assert.equal(made.failures.length, 1);
    });
  }

  for (const [name, behaviour, act, message] of [
    ['SIGSTOP', 'normal', (pid: number) => process.kill(pid, 'SIGSTOP'), /no heartbeat/],
    ['an endless loop of the whole process', 'hang in an endless loop', () => undefined, /no heartbeat/],
    ['a compute thread that stands still', 'stand still', () => undefined, /stood still/],
  ] as const) {
    test(`R44: ${name} in mid-stream is seen, killed and reported once`, {
      timeout: BOUND_MS,
    }, async (context) => {
      const made = bench(context, behaviour);
      await made.until('ready');
      const stream = made.supervisor.generate(request);
      act(made.pid);
      const end = await stream.ended;
      assert.ok(end.kind === 'failed');
      assert.equal(end.fault.code, 'runner_failed');
      assert.match(end.fault.message, message);
      assert.equal(made.failures.length, 1);
      assert.equal(made.failures[0]?.phase, 'running');
      assert.equal(made.failures[0]?.signal, 'SIGKILL');
    });
  }

  test('R44: a runner that idles for long is not mistaken for a frozen one', {
    timeout: BOUND_MS,
  }, async (context) => {
    const made = bench(context, 'normal');
    await made.until('ready');
    await new Promise((resolve) => setTimeout(resolve, 2 * WATCH_LIMITS.silenceMs));
    assert.equal(made.failures.length, 0);
  });

  test('R48: a killed runner comes back and serves the next request', {
    timeout: BOUND_MS,
  }, async (context) => {
    const made = bench(context, 'normal');
    await made.until('ready');
    process.kill(made.pid, 'SIGKILL');
    const failed = await made.until('failed');
    assert.equal(failed.restarts, 1);
    await made.until('ready', 2);
    for await (const event of made.supervisor.generate(request)) if (event.kind === 'delta') break;
    assert.equal(made.failures.length, 1);
  });

  test('R2: a request that comes before the runner is ready waits for it', {
    timeout: BOUND_MS,
  }, async (context) => {
    const made = bench(context, 'normal');
    for await (const event of made.supervisor.generate(request)) if (event.kind === 'delta') break;
    assert.deepEqual(
      made.changes.map((change) => change.status),
      ['spawned', 'connecting', 'loading', 'warming_up', 'ready'],
    );
  });

  test('R46: stop is idempotent, raises no alarm, and ends waiting and running requests', {
    timeout: BOUND_MS,
  }, async (context) => {
    const made = bench(context, 'normal');
    await made.until('ready');
    const stream = made.supervisor.generate(request);
    const { pid } = made;
    await Promise.all([made.supervisor.stop(), made.supervisor.stop()]);
    const end = await stream.ended;
    assert.equal(end.kind === 'failed' && end.fault.code, 'not_ready');
    assert.equal(made.failures.length, 0);
    assert.equal(made.changes.at(-1)?.status, 'stopped');
    assert.equal(isAlive(pid), false);
    const late = await made.supervisor.generate(request).ended;
    assert.equal(late.kind === 'failed' && late.fault.code, 'not_ready');
  });

  test('R46: a runner that ignores shutdown and SIGTERM is killed', {
    timeout: BOUND_MS,
  }, async (context) => {
    const made = bench(context, 'ignore every request to stop');
    await made.until('ready');
    const { pid } = made;
    await made.supervisor.stop();
    assert.equal(isAlive(pid), false);
    assert.equal(made.failures.length, 0);
  });

  test('R46: a runner stopped by SIGSTOP is ended too', { timeout: BOUND_MS }, async (context) => {
    const made = bench(context, 'normal');
    await made.until('ready');
    process.kill(made.pid, 'SIGSTOP');
    await made.supervisor.stop();
    assert.equal(isAlive(made.pid), false);
  });
});
