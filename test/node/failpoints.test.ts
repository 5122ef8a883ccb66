/** Every failpoint against a real node with the embedded model: each ends in one coded error and a recovery. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { NodeGroup } from '../support/nodeGroup.js';
import { NodeProcess, type RunnerState } from '../support/nodeProcess.js';

const BOUND_MS = 60_000;
const BOUND = { timeout: BOUND_MS };
const MODEL = 'shoal-guide';
const MESSAGES = [{ role: 'user', content: 'Tell me a long story about a fox.' }];

const post = (node: NodeProcess, path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(node.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(BOUND_MS),
  });

const models = mkdtempSync(join(tmpdir(), 'shoal-failpoints-'));
let node: NodeProcess;

/** Names of the models that no test has taken yet. A node looks for models when it starts. */
const unused = Array.from({ length: 12 }, (_, number) => `guide-${number}`);

before(async () => {
  for (const model of unused)
    copyFileSync(join(packageRoot(), 'models', `${MODEL}.gguf`), join(models, `${model}.gguf`));
  node = await NodeProcess.start('--models', models, '--failpoints');
}, BOUND);
after(async () => {
  await node?.stop();
  rmSync(models, { recursive: true, force: true });
}, BOUND);

/** A runner for one test alone: its budget of restarts is full, and its first restart comes after two seconds. */
class Served {
  readonly #model: string;
  readonly #instanceId: string;
  runnerId = '';

  private constructor(model: string, instanceId: string) {
    this.#model = model;
    this.#instanceId = instanceId;
  }

  /** Of a model of its own, so that no request of another test comes to it. */
  static async with(use: (served: Served) => Promise<void>): Promise<void> {
    const model = unused.pop() ?? assert.fail('there are more tests than models');
    const placed = await post(node, '/place_instance', { model_id: model });
    const text = await placed.text();
    assert.equal(placed.status, 202, text);
    const { instance_id: id } = JSON.parse(text) as { instance_id: string };
    const served = new Served(model, id);
    try {
      await served.ready();
      await use(served);
    } finally {
      await fetch(`${node.url}/instance/${id}`, { method: 'DELETE' });
    }
  }

  async ready(): Promise<void> {
    const { runners } = await node.until(
      'ready',
      ({ instances }) => instances[this.#instanceId]?.status === 'ready',
    );
    this.runnerId = Object.keys(runners).find((id) => id.startsWith(this.#instanceId)) ?? '';
  }

  async runner(): Promise<RunnerState> {
    return (await node.state()).runners[this.runnerId] ?? assert.fail('there is no runner');
  }

  /** Causes it in this runner, or in the next process of it. */
  async fail(name: string): Promise<void> {
    const armed = await post(node, '/debug/failpoints', { name, runner_id: this.runnerId });
    assert.equal(armed.status, 200, await armed.text());
  }

  chat(more: object, headers: Record<string, string> = {}): Promise<Response> {
    const body = { model: this.#model, messages: MESSAGES, ...more };
    return post(node, '/v1/chat/completions', body, headers);
  }
}

const faults: [failpoint: string, cause: RegExp][] = [
  ['runner.die', /SIGKILL/],
  ['runner.exit0', /Exited \(code=0\)/],
  ['runner.freeze', /no heartbeat/],
  ['runner.freeze=compute', /stood still/],
  // V8 gives up, or is so busy with collecting that the watch is faster.
  ['runner.out_of_memory', /SIGABRT|SIGTRAP|no heartbeat/],
];

describe('failpoints', { concurrency: 3 }, () => {
  for (const [failpoint, cause] of faults) {
    test(
      `R43, R44, R50, R60: ${failpoint} in mid-stream: one report with the cause, and the answer goes on`,
      BOUND,
      () =>
        Served.with(async (served) => {
          const long = { stream: true, max_tokens: 200, ignore_eos: true, temperature: 0 };
          const text = await (await served.chat(long, { 'x-shoal-failpoint': failpoint })).text();
          assert.match(text, /^: moved \{.*"reason":"runner_failed"/m);
          assert.match(text, /"finish_reason":"length"/);
          assert.ok(text.endsWith('data: [DONE]\n\n'));
          await served.ready();
          const runner = await served.runner();
          assert.equal(runner.restarts, 1, 'one report, one restart');
          assert.match(runner.error?.message ?? '', cause);
        }),
    );
  }

  for (const name of ['runner.no_ack', 'runner.block_pipe']) {
    test(`R45, R46, R60: ${name}: whoever waits is released, and served by the next process`, BOUND, () =>
      Served.with(async (served) => {
        await served.fail(name);
        const response = await served.chat({ max_tokens: 4 });
        assert.equal(response.status, 200);
        await response.text();
        const { restarts, error } = await served.runner();
        assert.equal(restarts, 1);
        assert.match(error?.message ?? '', /taken no message/);
      }),
    );
  }

  for (const [name, cause] of [
    ['runner.fail_loading', /while connecting: a failpoint keeps the model from loading/],
    ['runner.die_before_pipe_open', /while starting: Exited \(code=1\)/],
  ] as const) {
    test(`R49, R50: ${name}: a failure in the start is reported with its phase`, BOUND, () =>
      Served.with(async (served) => {
        await served.fail(name);
        await served.fail('runner.die');
        await node.until('failed in its start', ({ runners }) =>
          cause.test(runners[served.runnerId]?.error?.message ?? ''),
        );
      }),
    );
  }

  test(
    'R50: slow_token slows and is not mistaken for a freeze; wrong names and targets are refused',
    BOUND,
    () =>
      Served.with(async (served) => {
        const slow = { 'x-shoal-failpoint': 'runner.slow_token=100' };
        assert.equal((await served.chat({ max_tokens: 20, ignore_eos: true }, slow)).status, 200);
        assert.equal((await served.chat({}, { 'x-shoal-failpoint': 'nonsense' })).status, 400);
        assert.equal((await post(node, '/debug/failpoints', { name: 'nonsense' })).status, 400);
        assert.equal(
          (await post(node, '/debug/failpoints', { name: 'runner.die', node_id: 'x' })).status,
          404,
        );
        assert.equal(
          (await post(node, '/debug/failpoints', { name: 'runner.die', runner_id: 'x' })).status,
          404,
        );
        assert.equal((await served.runner()).restarts, 0);
      }),
  );

  test('R50: text in a request causes nothing', BOUND, () =>
    Served.with(async (served) => {
      const content =
        'x-shoal-failpoint: runner.die EXO RUNNER MUST FAIL {"failpoint":{"name":"runner.die"}}';
      const messages = [{ role: 'user', content }];
      assert.equal((await served.chat({ messages, max_tokens: 8 })).status, 200);
      const smuggled = { messages, max_tokens: 8, failpoint: { name: 'runner.die', arg: null } };
      assert.equal((await served.chat(smuggled)).status, 400);
      assert.equal((await served.runner()).restarts, 0);
    }),
  );
});

test(
  'R24, R50, R56: node.drop_peer parts two nodes, whichever is asked, and they come together again',
  BOUND,
  async () => {
    const group = new NodeGroup();
    const options = ['--failpoints', '--no-worker', '--peer-host', '127.0.0.1', '--no-discovery'];
    try {
      const first = await group.add(null, ...options);
      const second = await group.add(null, ...options, '--peer', first.peerAddress);
      await group.agreed();
      const drop = (body: object) => post(first, '/debug/failpoints', { name: 'node.drop_peer', ...body });
      const header = { 'x-shoal-failpoint': `node.drop_peer=${first.nodeId}` };
      const asked = { model: MODEL, messages: MESSAGES };
      assert.equal((await post(first, '/v1/chat/completions', asked, header)).status, 400);
      // Of the other node, through this one.
      assert.equal((await drop({ node_id: second.nodeId, arg: first.nodeId })).status, 200);
      for (const [node, lost] of [
        [first, second],
        [second, first],
      ] as const) {
        await node.until('alone', ({ nodes, master_node_id: master }) => {
          return nodes[lost.nodeId]?.status === 'dead' && master === node.nodeId;
        });
      }
      assert.equal((await post(second, '/debug/failpoints', { name: 'node.drop_peer' })).status, 200);
      await group.agreed();
    } finally {
      await group.stop();
    }
  },
);
