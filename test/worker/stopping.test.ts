/** A runner that dies while it is being stopped: whatever takes it, that is the end that was asked for. */
import assert from 'node:assert/strict';
import { describe, type TestContext, test } from 'node:test';
import { TEST_REQUEST as request } from '../../src/shared/testing.js';
import { isAlive } from '../support/nodeProcess.js';
import { SupervisorBench } from './supervisorBench.js';

const LIMIT = { timeout: 20_000 };

async function ready(context: TestContext, behaviour: string): Promise<SupervisorBench> {
  const made = new SupervisorBench(behaviour);
  context.after(() => made.supervisor.stop());
  await made.until('ready');
  return made;
}

/** One end, told once, no alarm, and nothing that comes back. */
function assertStoppedOnce(made: SupervisorBench, pid: number): void {
  const statuses = made.changes.map(({ status }) => status);
  assert.deepEqual(statuses.slice(statuses.indexOf('stopping')), ['stopping', 'stopped']);
  assert.deepEqual(made.failures, []);
  assert.equal(isAlive(pid), false);
}

describe('death while stopping', { concurrency: 4 }, () => {
  for (const behaviour of [
    'crash when asked to stop',
    'exit with 1 when asked to stop',
    'crash at SIGTERM',
    'talk nonsense when asked to stop',
    'ignore every request to stop',
  ]) {
    test(`R43, R46: a runner that would ${behaviour} ends once, without an alarm`, LIMIT, async (context) => {
      const made = await ready(context, behaviour);
      const { pid } = made;
      const stream = made.supervisor.generate(request);
      await Promise.all([made.supervisor.stop(), made.supervisor.stop()]);
      assertStoppedOnce(made, pid);
      const end = await stream.ended;
      assert.ok(end.kind === 'failed' && end.fault.code === 'not_ready');
    });
  }

  for (const signal of ['SIGKILL', 'SIGSEGV', 'SIGHUP'] as const) {
    test(
      `R43, R46: ${signal} from elsewhere while it is asked to stop is no failure`,
      LIMIT,
      async (context) => {
        const made = await ready(context, 'ignore every request to stop');
        const { pid } = made;
        const stopping = made.supervisor.stop();
        process.kill(pid, signal);
        await stopping;
        assertStoppedOnce(made, pid);
      },
    );
  }

  test(
    'R43, R48: a runner that is dead already when it is asked to stop has failed, once',
    LIMIT,
    async (context) => {
      const made = await ready(context, 'normal');
      const { pid } = made;
      process.kill(pid, 'SIGKILL');
      await made.until('failed');
      await made.supervisor.stop();
      assert.equal(made.failures.length, 1);
      assert.equal(made.changes.at(-1)?.status, 'failed');
      assert.equal(isAlive(pid), false);
    },
  );
});
