/** Every failpoint against a real node with the embedded model: each ends in one coded error and a recovery. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { NodeGroup } from '../support/nodeGroup.js';
import { NodeProcess } from '../support/nodeProcess.js';

const BOUND_MS = 60_000;
const BOUND = { timeout: BOUND_MS };
const MODEL = 'shoal-guide';
const MESSAGES = [{ role: 'user', content: 'Tell me a long story about a fox.' }];

/** A node for one test alone: its budget of restarts is full, and its first restart comes after two seconds. */
async function withNode(use: (node: NodeProcess) => Promise<void>): Promise<void> {
  const node = await NodeProcess.start('--serve', MODEL, '--failpoints');
  try {
    await node.ready();
    await use(node);
  } finally {
    await node.stop();
  }
}

const post = (node: NodeProcess, path: string, body: unknown, headers: Record<string, string> = {}) =>
  fetch(node.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(BOUND_MS),
  });

const chat = (node: NodeProcess, more: object, headers: Record<string, string> = {}) =>
  post(node, '/v1/chat/completions', { model: MODEL, messages: MESSAGES, ...more }, headers);

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
        withNode(async (node) => {
          const long = { stream: true, max_tokens: 200, ignore_eos: true, temperature: 0 };
          const text = await (await chat(node, long, { 'x-shoal-failpoint': failpoint })).text();
          assert.match(text, /^: moved \{.*"reason":"runner_failed"/m);
          assert.match(text, /"finish_reason":"length"/);
          assert.ok(text.endsWith('data: [DONE]\n\n'));
          await node.ready();
          const runner = await node.runner();
          assert.equal(runner.restarts, 1, 'one report, one restart');
          assert.match(runner.error?.message ?? '', cause);
        }),
    );
  }

  for (const name of ['runner.no_ack', 'runner.block_pipe']) {
    test(`R45, R46, R60: ${name}: whoever waits is released, and served by the next process`, BOUND, () =>
      withNode(async (node) => {
        await post(node, '/debug/failpoints', { name });
        const response = await chat(node, { max_tokens: 4 });
        assert.equal(response.status, 200);
        await response.text();
        const { restarts, error } = await node.runner();
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
      withNode(async (node) => {
        await post(node, '/debug/failpoints', { name });
        await post(node, '/debug/failpoints', { name: 'runner.die' });
        await node.until('failed in its start', ({ runners }) =>
          Object.values(runners).every(({ error }) => cause.test(error?.message ?? '')),
        );
      }),
    );
  }

  test(
    'R50: slow_token slows and is not mistaken for a freeze; wrong names and targets are refused',
    BOUND,
    () =>
      withNode(async (node) => {
        const slow = { 'x-shoal-failpoint': 'runner.slow_token=100' };
        assert.equal((await chat(node, { max_tokens: 20, ignore_eos: true }, slow)).status, 200);
        assert.equal((await chat(node, {}, { 'x-shoal-failpoint': 'nonsense' })).status, 400);
        assert.equal((await post(node, '/debug/failpoints', { name: 'nonsense' })).status, 400);
        assert.equal(
          (await post(node, '/debug/failpoints', { name: 'runner.die', node_id: 'x' })).status,
          404,
        );
        assert.equal(
          (await post(node, '/debug/failpoints', { name: 'runner.die', runner_id: 'x' })).status,
          404,
        );
        assert.equal((await node.runner()).restarts, 0);
      }),
  );

  test('R50: text in a request causes nothing', BOUND, () =>
    withNode(async (node) => {
      const content =
        'x-shoal-failpoint: runner.die EXO RUNNER MUST FAIL {"failpoint":{"name":"runner.die"}}';
      const messages = [{ role: 'user', content }];
      assert.equal((await chat(node, { messages, max_tokens: 8 })).status, 200);
      const smuggled = { messages, max_tokens: 8, failpoint: { name: 'runner.die', arg: null } };
      assert.equal((await chat(node, smuggled)).status, 400);
      assert.equal((await node.runner()).restarts, 0);
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
      assert.equal((await chat(first, {}, header)).status, 400);
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
