/** What users want to run, with real nodes and runners: made, watched, started anew, placed elsewhere, taken back. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { shoal } from '../cli/shoal.js';
import type { NodeProcess } from '../support/nodeProcess.js';
import { answer, client, MODEL, post, question, SLOWLY, servedBy, shows } from './scene.js';
import {
  Cluster,
  failForGood,
  nodeIdOf,
  pidOf,
  remove,
  untilEnded,
  untilNothingLeft,
  untilStatus,
  untilWish,
  type Wish,
  type WishState,
  wishFor,
} from './wishScene.js';

const BOUND = { timeout: 120_000 };
/** The first one, and the three that follow it. */
const ATTEMPTS = 4;

// What takes time here is waiting for the next attempt: side by side it is waited for once.
describe('MetaInstances', { concurrency: 3 }, () => {
  test(
    'R20, R21, R22, R30: a wish is placed on its node, listed everywhere, and leaves nothing when it is taken back',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const asking = await cluster.add('asking', '--no-worker');
      const other = await cluster.add('other');
      const chosen = await cluster.add('chosen');
      await cluster.group.agreed();
      const id = await wishFor(asking, { node_ids: [chosen.nodeId] });
      const shown = await untilStatus(other, id, 'ready');
      assert.equal(nodeIdOf(shown), chosen.nodeId);
      assert.deepEqual(shown.wish.node_ids, [chosen.nodeId]);
      const listed = (await (await fetch(`${other.url}/meta_instances`)).json()) as Wish[];
      assert.deepEqual(
        listed.map(({ meta_instance_id: listedId }) => listedId),
        [id],
      );
      const one = (await (await fetch(`${chosen.url}/meta_instance/${id}`)).json()) as Wish;
      assert.deepEqual([one.status, one.errors, one.placement_error], ['ready', [], null]);
      await untilStatus(asking, id, 'ready');
      assert.equal(await servedBy(asking), shown.instance?.instance_id);

      const endless = { ...question, max_tokens: 1_000, stream: true } as const;
      const stream = await client(asking).chat.completions.create(endless, { headers: SLOWLY });
      let tokens = 0;
      await assert.rejects(async () => {
        for await (const _chunk of stream) {
          tokens += 1;
          if (tokens === 3) await remove(other, id);
        }
      }, /the runner is being stopped/);
      await untilNothingLeft(cluster.group.nodes, id);
      await untilEnded(pidOf(shown));
      assert.equal((await fetch(`${asking.url}/meta_instance/${id}`)).status, 404);
      const unserved = await post(asking, '/v1/chat/completions', question);
      assert.equal(unserved.status, 404);
      assert.match(await unserved.text(), /"code":"no_instance"/);
    },
  );

  test(
    'R20, R57: what is asked for twice with one key is made once, whichever node is asked; with another body it is refused',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const nodes = [await cluster.add('desk'), await cluster.add('asking', '--no-worker')];
      await cluster.group.agreed();
      const [desk, asking] = nodes as [NodeProcess, NodeProcess];
      const key = { 'Idempotency-Key': 'form 1' };
      for (const [path, body, other, name] of [
        ['/meta_instance', { model_id: MODEL }, { model_id: MODEL, max_sequences: 2 }, 'meta_instance_id'],
        ['/place_instance', { model_id: MODEL }, null, 'instance_id'],
      ] as const) {
        // The second and the third are on their way at once.
        const first = await post(desk, path, body, key);
        const repeated = await Promise.all([post(asking, path, body, key), post(desk, path, body, key)]);
        const ids = [];
        for (const answered of [first, ...repeated]) {
          assert.equal(answered.status, first.status);
          ids.push(((await answered.json()) as Record<string, unknown>)[name]);
        }
        assert.equal(new Set(ids).size, 1, JSON.stringify(ids));
        if (other === null) continue;
        const refused = await post(asking, path, other, key);
        assert.equal(refused.status, 422);
        assert.match(await refused.text(), /"code":"idempotency_key_reused"/);
      }
      const { meta_instances: wishes, instances } = (await asking.state()) as unknown as WishState;
      assert.equal(Object.keys(wishes).length, 1);
      const byHand = Object.values(instances).filter((one) => one.meta_instance_id === null);
      assert.equal(byHand.length, 1);
      const another = await post(
        desk,
        '/meta_instance',
        { model_id: MODEL },
        { 'Idempotency-Key': 'form 2' },
      );
      assert.equal(another.status, 201);
      const [id = ''] = Object.keys(wishes);
      await remove(asking, id);
      const late = await post(desk, '/meta_instance', { model_id: MODEL }, key);
      assert.deepEqual([late.status, /was deleted already/.test(await late.text())], [400, true]);
    },
  );

  test(
    'R25, R26, R27: a runner that is killed is started anew where it was, after a while, and serves again',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const node = await cluster.add('desk');
      const id = await wishFor(node);
      const first = await untilStatus(node, id, 'ready');
      const expected = await answer(node);
      process.kill(pidOf(first), 'SIGKILL');
      const failed = await untilWish(node, id, 'failed once', ({ wish }) => wish.consecutive_failures > 0);
      assert.deepEqual([failed.wish.status, failed.wish.consecutive_failures], ['retrying', 1]);
      const [error] = failed.wish.errors;
      assert.equal(error?.node_id, node.nodeId);
      assert.match(error?.message ?? '', /^desk: .*SIGKILL/);
      const next = Date.parse(failed.wish.next_attempt_at ?? '');
      assert.ok(next > Date.parse(error?.at ?? ''), 'the next attempt does not come at once');
      const second = await untilStatus(node, id, 'ready');
      assert.equal(second.instance?.attempt, 2);
      assert.equal(second.instance?.instance_id, first.instance?.instance_id, 'the same instance');
      assert.equal(second.wish.consecutive_failures, 1, 'forgiven only after it served for long');
      assert.notEqual(pidOf(second), pidOf(first));
      assert.equal(await answer(node), expected);

      const armed = await post(node, '/debug/failpoints', { name: 'runner.die' });
      assert.equal(armed.status, 200, await armed.text());
      const again = await untilWish(
        node,
        id,
        'served a third time',
        ({ wish, instance }) => wish.status === 'ready' && instance?.attempt === 3,
      );
      assert.deepEqual([again.wish.consecutive_failures, again.wish.errors.length], [2, 2]);
      assert.equal(await answer(node), expected);
    },
  );

  test(
    'R26, R28: what fails again and again is given up, told with every failure, and tried again when a person says so',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const node = await cluster.add('desk');
      const id = await wishFor(node);
      const first = await untilStatus(node, id, 'ready');
      await failForGood(node, id, ATTEMPTS);
      const { wish, instances } = await untilStatus(node, id, 'failed');
      assert.deepEqual([wish.consecutive_failures, wish.next_attempt_at, instances], [ATTEMPTS, null, []]);
      assert.equal(wish.errors.length, ATTEMPTS);
      assert.match(wish.errors[0]?.message ?? '', /^desk: .*SIGKILL/);
      for (const { node_id: nodeId, message } of wish.errors.slice(1)) {
        assert.equal(nodeId, node.nodeId);
        assert.match(message, /^desk: .*a failpoint keeps the model from loading/);
      }
      const status = await shoal(['status', '--url', node.url]);
      assert.match(status.stdout, /shoal-guide failed too often and is not tried any more/);
      assert.match(
        status.stdout,
        / desk: the runner failed while connecting:\s+a\s+failpoint keeps the model from loading/,
      );
      assert.match(status.stdout, /shoal retry /);
      const refused = await post(node, '/v1/chat/completions', question);
      assert.equal(refused.status, 503);
      assert.match(
        await refused.text(),
        /not tried any more.*failpoint.*shoal retry.*"code":"all_instances_failed"/,
      );
      const stream = await post(node, '/v1/chat/completions', { ...question, stream: true });
      assert.deepEqual([stream.status, (await stream.text()).includes('shoal retry')], [503, true]);

      const retried = await post(node, `/meta_instance/${id}/retry`, {});
      assert.equal(retried.status, 202, await retried.text());
      const served = await untilStatus(node, id, 'ready');
      assert.deepEqual([served.wish.consecutive_failures, served.wish.errors], [0, []]);
      assert.notEqual(served.instance?.instance_id, first.instance?.instance_id);
      assert.ok((await answer(node)).length > 0);
    },
  );

  test(
    'R22, R26: what was given up on one node is placed on another that has the files',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const nodes = [await cluster.add('one'), await cluster.add('two')];
      await cluster.group.agreed();
      const [asked] = nodes as [(typeof nodes)[0]];
      const id = await wishFor(asked);
      const first = await untilStatus(asked, id, 'ready');
      const owner = nodes.find(({ nodeId }) => nodeId === nodeIdOf(first)) ?? assert.fail('no owner');
      const spare = nodes.find((node) => node !== owner) ?? assert.fail('no other node');
      await untilStatus(owner, id, 'ready');
      await failForGood(owner, id, ATTEMPTS);
      const moved = await untilWish(
        asked,
        id,
        'served elsewhere',
        (shown) => shown.wish.status === 'ready' && nodeIdOf(shown) === spare.nodeId,
      );
      assert.equal(moved.instances.length, 1);
      assert.deepEqual(
        moved.wish.errors.map(({ node_id: nodeId }) => nodeId),
        Array(ATTEMPTS).fill(owner.nodeId),
      );
      await untilStatus(owner, id, 'ready');
      assert.equal(await servedBy(owner), moved.instance?.instance_id);
    },
  );

  test(
    'R22, R24: the wish of a node that dies is placed on another one, and requests through a third are answered',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const asking = await cluster.add('asking', '--no-worker');
      const nodes = [await cluster.add('one'), await cluster.add('two')];
      await cluster.group.agreed();
      const id = await wishFor(asking);
      const first = await untilStatus(asking, id, 'ready');
      const expected = await answer(asking);
      const lost = nodes.find(({ nodeId }) => nodeId === nodeIdOf(first)) ?? assert.fail('no owner');
      lost.child.kill('SIGKILL');
      await shows(asking, lost, 'dead');
      const moved = await untilWish(
        asking,
        id,
        'served elsewhere',
        (shown) => shown.wish.status === 'ready' && nodeIdOf(shown) !== lost.nodeId,
      );
      assert.deepEqual([moved.instances.length, moved.wish.consecutive_failures], [1, 0]);
      assert.equal(await answer(asking), expected);
      assert.equal(await servedBy(asking), moved.instance?.instance_id);
    },
  );

  test(
    'R30: a wish is taken back while its runner loads, and while it waits for its next attempt',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const node = await cluster.add('desk');
      const loading = await wishFor(node);
      const early = await untilWish(node, loading, 'a process', ({ runner }) => runner?.pid != null);
      const pid = pidOf(early);
      // It stands still in its start, and hears nothing of its end.
      process.kill(pid, 'SIGSTOP');
      assert.notEqual((await untilWish(node, loading, 'there', () => true)).wish.status, 'ready');
      await remove(node, loading);
      await untilNothingLeft([node], loading);
      await untilEnded(pid);

      const retrying = await wishFor(node);
      process.kill(pidOf(await untilStatus(node, retrying, 'ready')), 'SIGKILL');
      await untilWish(node, retrying, 'waiting', ({ wish }) => wish.next_attempt_at !== null);
      await remove(node, retrying);
      await untilNothingLeft([node], retrying);

      const last = await wishFor(node);
      await untilStatus(node, last, 'ready');
      assert.ok((await answer(node)).length > 0);
      const { instances, runners } = await node.state();
      assert.deepEqual([Object.keys(instances).length, Object.keys(runners).length], [1, 1]);
    },
  );
});
