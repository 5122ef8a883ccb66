/** Wishes and the room for them: those that wait, those that never fit, and those that come back after a power cut. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { NodeProcess } from '../support/nodeProcess.js';
import { answer, MODEL, post } from './scene.js';
import { Cluster, kill, nodeIdOf, remove, untilStatus, untilWish, wishFor } from './wishScene.js';

const BOUND = { timeout: 120_000 };
const SHAPE = { context_length: 512, max_sequences: 2 };
const QUERY = `model_id=${MODEL}&context_length=512&max_sequences=2`;

interface Refused {
  readonly error: {
    readonly code: string;
    readonly details: {
      readonly can_fit_later: boolean;
      readonly nodes: readonly { readonly node_id: string; readonly reason: string }[];
    };
  };
}

interface Placed {
  readonly memory_by_node: Readonly<Record<string, number>>;
}

/** What an instance of this shape takes on this node, in bytes. */
async function needOf(node: NodeProcess): Promise<number> {
  const response = await fetch(`${node.url}/instance/placement?${QUERY}`);
  const text = await response.text();
  assert.equal(response.status, 200, text);
  return (JSON.parse(text) as Placed).memory_by_node[node.nodeId] ?? assert.fail(text);
}

/** The error of a request that must be refused for want of a place. */
async function refusal(node: NodeProcess, path: string, body: object): Promise<Refused['error']> {
  const response = await post(node, path, { model_id: MODEL, ...body });
  const text = await response.text();
  assert.equal(response.status, 400, text);
  const { error } = JSON.parse(text) as Refused;
  assert.equal(error.code, 'placement_impossible');
  return error;
}

const reasonOf = ({ details }: Refused['error'], nodeId: string): string =>
  details.nodes.find(({ node_id: id }) => id === nodeId)?.reason ?? assert.fail(`nothing said of ${nodeId}`);

describe('MetaInstances and room for them', { concurrency: 3 }, () => {
  test(
    'R29, R31, R34, R41: of two wishes that fit one after the other the second waits, says why, and then comes up',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const roomy = await cluster.add('desk');
      const memoryBytes = Math.round((await needOf(roomy)) * 1.5);
      await kill(roomy);
      const node = await cluster.restart(roomy, null, '--name', 'desk', '--memory', String(memoryBytes));
      const first = await wishFor(node, SHAPE);
      await untilStatus(node, first, 'ready');
      const second = await wishFor(node, SHAPE);
      const waiting = await untilWish(node, second, 'waiting', ({ wish }) => wish.placement_error !== null);
      assert.deepEqual([waiting.wish.status, waiting.instances], ['pending', []]);
      const { message, nodes } = waiting.wish.placement_error ?? assert.fail('no reason');
      assert.ok(message.length > 0);
      assert.deepEqual(
        nodes.map(({ node_id: nodeId, name }) => [nodeId, name]),
        [[node.nodeId, 'desk']],
      );
      assert.match(nodes[0]?.reason ?? '', /free|memory/);
      const once = await refusal(node, '/place_instance', SHAPE);
      assert.equal(once.details.can_fit_later, true);
      assert.match(reasonOf(once, node.nodeId), /free|memory/);
      const previews = (await (await fetch(`${node.url}/instance/previews?${QUERY}`)).json()) as {
        previews: readonly { readonly instance: unknown; readonly error: string | null }[];
      };
      assert.deepEqual(
        previews.previews.map(({ instance, error }) => [instance, error !== null]),
        [[null, true]],
      );
      await untilStatus(node, first, 'ready');
      await remove(node, first);
      const served = await untilStatus(node, second, 'ready');
      assert.equal(served.wish.placement_error, null);
      assert.ok((await answer(node)).length > 0);
    },
  );

  test(
    'R34: what can never fit is refused with the reason of each node, and nothing is left of it',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      const asking = await cluster.add('asking', '--no-worker');
      const small = await cluster.add('small', '--memory', '1000000');
      await cluster.group.agreed();
      const unknown = await refusal(asking, '/meta_instance', { node_ids: ['nobody'] });
      assert.equal(unknown.details.can_fit_later, false);
      assert.match(reasonOf(unknown, 'nobody'), /no node of this id/);
      for (const path of ['/meta_instance', '/place_instance']) {
        const tooLarge = await refusal(asking, path, { node_ids: [small.nodeId] });
        assert.equal(tooLarge.details.can_fit_later, false);
        assert.match(reasonOf(tooLarge, small.nodeId), /[KM]iB/);
        const nowhere = await refusal(asking, path, {});
        for (const { nodeId } of [asking, small]) assert.ok(reasonOf(nowhere, nodeId).length > 0);
      }
      assert.deepEqual(await (await fetch(`${small.url}/meta_instances`)).json(), []);
      assert.deepEqual((await small.state()).instances, {});
    },
  );

  test(
    'R35: after a power cut wishes are served again without a word, the one of a node that stays away elsewhere',
    BOUND,
    async (t) => {
      const cluster = new Cluster(t);
      await cluster.add('one');
      await cluster.add('two');
      const [one, two] = cluster.group.nodes as [NodeProcess, NodeProcess];
      await cluster.group.agreed();
      const ids = [
        await wishFor(one, { ...SHAPE, node_ids: [one.nodeId] }),
        await wishFor(one, { ...SHAPE, node_ids: [two.nodeId] }),
        await wishFor(one, SHAPE),
      ] as const;
      const [ofOne, ofTwo, ofAny] = ids;
      for (const node of [one, two]) for (const id of ids) await untilStatus(node, id, 'ready');
      const expected = await answer(one);
      const anyOn = nodeIdOf(await untilStatus(one, ofAny, 'ready'));
      await Promise.all([kill(one), kill(two)]);

      // The one that comes back is the one that the wish for any node is not on.
      const [back, away] = anyOn === one.nodeId ? [two, one] : [one, two];
      const [ofBack, ofAway] = anyOn === one.nodeId ? [ofTwo, ofOne] : [ofOne, ofTwo];
      const alone = await cluster.restart(back, null);
      await untilStatus(alone, ofBack, 'ready');
      assert.equal(await answer(alone), expected);
      await untilWish(
        alone,
        ofAny,
        'served elsewhere',
        (shown) => shown.wish.status === 'ready' && nodeIdOf(shown) === alone.nodeId,
      );
      const waiting = await untilWish(alone, ofAway, 'waiting', ({ wish }) => wish.placement_error !== null);
      assert.notEqual(waiting.wish.status, 'ready');
      assert.deepEqual(waiting.wish.node_ids, [away.nodeId]);

      const again = await cluster.restart(away, alone);
      await cluster.group.agreed();
      for (const node of [alone, again]) for (const id of ids) await untilStatus(node, id, 'ready');
      assert.equal(await answer(again), expected);
      await again.until(
        'one instance for each wish',
        ({ instances }) => Object.keys(instances).length === ids.length,
      );
    },
  );
});
