/** Three nodes that share models, asked through a fourth: in every shape, and with one of them killed or frozen whole. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeProcess } from '../support/nodeProcess.js';
import { type Answer, ask, removeInstance, whole } from './answers.js';
import { MODEL, post } from './scene.js';
import { pidsOf, rankOn, untilFailure, untilNoPipes, untilServed } from './shardScene.js';
import { Cluster, kill, remove, untilEnded, untilNothingLeft, type WishState, wishFor } from './wishScene.js';

const BOUND = { timeout: 180_000 };
const SHAPE = { context_length: 512, max_sequences: 1 };
const LINKED_LIMIT_MS = 20_000;
const LOOK_AGAIN_MS = 100;
const NAMES = ['left', 'middle', 'right'];
/** What is compared: the same question, alone and with the probabilities of its tokens. */
const QUESTION = { logprobs: true, top_logprobs: 1 };

let cluster: Cluster;
let asked: NodeProcess;

before(async () => {
  cluster = new Cluster();
  asked = await cluster.add('asked', '--no-worker');
  for (const name of NAMES) await cluster.add(name);
  await cluster.group.agreed();
}, BOUND);
after(() => cluster.group.stop());

const nodeOf = (nodeId: string): NodeProcess =>
  cluster.group.nodes.find((node) => node.nodeId === nodeId) ?? assert.fail(`there is no node ${nodeId}`);

/**
 * An instance that nobody makes again, of this shape, when it is ready. The master may have yet to hear of all links, and
 * on a busy machine a node may be late for a moment.
 */
async function placed(more: object): Promise<string> {
  const endsAt = Date.now() + LINKED_LIMIT_MS;
  let [status, text] = [0, ''];
  do {
    const response = await post(asked, '/place_instance', { model_id: MODEL, ...SHAPE, ...more });
    [status, text] = [response.status, await response.text()];
  } while (
    text.includes('"can_fit_later":true') &&
    Date.now() < endsAt &&
    (await sleep(LOOK_AGAIN_MS, true))
  );
  assert.equal(status, 202, text);
  const { instance_id: id } = JSON.parse(text) as { instance_id: string };
  await asked.until('serving', ({ instances }) => instances[id]?.status === 'ready');
  return id;
}

test(
  'R37, R40, R62: over three nodes as ring and mesh, and in two slices, a model gives the text of one node',
  BOUND,
  async () => {
    const [first] = cluster.group.nodes.slice(1);
    const shapes: readonly [worldSize: number, shape: object][] = [
      [1, { node_ids: [first?.nodeId] }],
      [3, { min_nodes: 3, transport: 'Ring' }],
      [3, { min_nodes: 3, transport: 'Mesh' }],
      [2, { min_nodes: 2, transport: 'Mesh', sharding: 'Tensor' }],
    ];
    let alone: Answer['choices'][number] | undefined;
    for (const [worldSize, shape] of shapes) {
      const id = await placed(shape);
      const { instances } = (await asked.state()) as unknown as WishState;
      const { shards, ...instance } = instances[id] ?? assert.fail('no instance');
      assert.equal(new Set(shards.map(({ node_id: nodeId }) => nodeId)).size, worldSize);
      for (const [field, value] of Object.entries(shape)) {
        if (field in instance) assert.equal(instance[field as 'transport'], value);
      }
      const answer = await whole(asked, QUESTION, {});
      assert.equal(answer.instanceId, id);
      const [choice] = answer.choices;
      alone ??= choice;
      assert.ok((choice?.text.length ?? 0) > 50);
      if (instance.sharding === 'Pipeline') assert.deepEqual(choice, alone, 'bit for bit');
      assert.equal(choice?.text, alone?.text);
      assert.equal(choice?.reason, alone?.reason);
      await removeInstance(asked, id);
    }
    for (const node of cluster.group.nodes) await untilNoPipes(node);
  },
);

test(
  'R1, R7, R24, R56, R60: a node with a part freezes, then another is killed, in mid-stream: both streams end whole',
  BOUND,
  async () => {
    const id = await wishFor(asked, { ...SHAPE, min_nodes: 2 });
    let shown = await untilServed(asked, id);
    const expected = await whole(asked, {});
    const gone: NodeProcess[] = [];
    for (const [at, { rank, signal }] of (
      [
        { rank: 1, signal: 'SIGSTOP' },
        { rank: 0, signal: 'SIGKILL' },
      ] as const
    ).entries()) {
      const pids = pidsOf(shown);
      const node = nodeOf(rankOn(shown, rank));
      const streamed = ask(asked, {}, async (pieces) => {
        if (pieces === 3) node.child.kill(signal);
      });
      const failure = await untilFailure(asked, id, at + 1);
      assert.equal(failure.node_id, node.nodeId);
      assert.match(failure.message, /is lost: the node is gone|lost it/);
      // Those on the node itself too, which nobody can tell to.
      for (const pid of pids) await untilEnded(pid);
      // There is no third node any more, until the frozen one is back.
      for (const earlier of gone) earlier.child.kill('SIGCONT');
      gone.push(node);
      const { fault, choices, isDone } = await streamed;
      assert.equal(fault, null, JSON.stringify(fault));
      assert.ok(isDone);
      assert.deepEqual(choices, expected.choices);
      shown = await untilServed(asked, id);
      assert.ok(shown.instance?.shards.every(({ node_id: nodeId }) => nodeId !== node.nodeId));
    }
    assert.equal(shown.wish.errors.length, 2, JSON.stringify(shown.wish.errors));
    const [, killed] = gone as [NodeProcess, NodeProcess];
    await kill(killed);
    await remove(asked, id);
    const living = cluster.group.nodes.filter((node) => node !== killed);
    await untilNothingLeft(living, id);
    for (const pid of pidsOf(shown)) await untilEnded(pid);
    for (const node of living) await untilNoPipes(node);
  },
);
