import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import type { ClusterState } from '../control/state.js';
import { instanceRecord, MODEL, nodeFact, OTHER_NODE } from '../control/testing.js';
import { FrameError } from '../shared/frames.js';
import type { CommandId, InstanceId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import { ClusterNode, type NodeStore } from './clusterNode.js';
import type { PeerLinkListener, PeerLinks } from './link/contract.js';
import { MemoryNetwork } from './link/testing/memoryLinks.js';
import { NodeKey } from './nodeKey.js';
import { FileControlStore } from './store/fileStore.js';
import { SimulatedDisk } from './store/testing/simulatedDisk.js';
import { startTestNode, type TestNode } from './testing.js';

const BOUND_MS = 15_000;

/** Waits until it holds; the bound is the test's failure, not its speed. */
async function until(holds: () => boolean, what: string): Promise<void> {
  const end = performance.now() + BOUND_MS;
  while (!holds()) {
    assert.ok(performance.now() < end, `not within ${BOUND_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

const master = ({ cluster }: TestNode) => cluster.state.masterNodeId;
const statusOf = (state: ClusterState, nodeId: NodeId) => state.nodes.get(nodeId)?.status;

async function startCluster(count: number) {
  const network = new MemoryNetwork();
  const nodes: TestNode[] = [];
  for (let i = 0; i < count; i += 1) {
    const node = await startTestNode(network);
    for (const other of nodes) node.links.dial(other.links.address);
    nodes.push(node);
  }
  await agreed(nodes);
  return { network, nodes };
}

/** All are up to date under one master, and everybody is alive in everybody's state. */
function agreed(nodes: readonly TestNode[]): Promise<void> {
  return until(() => {
    const [first] = nodes as [TestNode];
    return nodes.every(
      (node) =>
        node.cluster.isUpToDate &&
        master(node) === master(first) &&
        nodes.every(({ nodeId }) => statusOf(node.cluster.state, nodeId) === 'alive'),
    );
  }, 'one master, everybody alive');
}

const instanceOn = ({ nodeId }: TestNode, id: string) => ({
  ...instanceRecord(id),
  shards: instanceRecord(id).shards.map((shard) => ({ ...shard, nodeId })),
});

test('R57: nodes agree on a master and a state; a command of any node is in all', async (t) => {
  const { nodes } = await startCluster(3);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  for (const [index, node] of nodes.entries()) {
    await node.cluster.command({ kind: 'CreateInstance', instance: instanceOn(node, `i${index}`) });
  }
  const [first] = nodes as [TestNode, ...TestNode[]];
  // On a machine that is busy the master has always something more to tell of its nodes.
  await until(
    () => nodes.every(({ cluster: { state } }) => isDeepStrictEqual(state, first.cluster.state)),
    'one state',
  );
  assert.equal(first.cluster.state.instances.size, 3);
});

test('R57: a node that missed failures with many last words comes up to date, and nobody ends for their length', async (t) => {
  const network = new MemoryNetwork();
  const ruling = await startTestNode(network);
  const key = NodeKey.make();
  const away = await startTestNode(network, { key });
  away.links.dial(ruling.links.address);
  const alive = [ruling];
  t.after(() => Promise.all(alive.map((node) => node.kill())));
  await agreed([ruling, away]);
  await ruling.cluster.command({ kind: 'CreateInstance', instance: instanceOn(ruling, 'a') });
  await away.kill();
  await until(() => statusOf(ruling.cluster.state, away.nodeId) === 'dead', 'it is gone');
  await until(() => ruling.cluster.isUpToDate, 'there is a master');
  const stderrTail = new Array<string>(LIMITS.stderrTailLines).fill('x'.repeat(LIMITS.stderrLineCharacters));
  const error = { code: 'runner_failed', message: 'm', phase: 'ready', stderrTail, ranForMs: 1 } as const;
  const report = {
    runnerId: 'a-0' as RunnerId,
    status: 'failed',
    pid: null,
    restartAt: null,
    error,
  } as const;
  const count = Math.ceil((1.2 * LIMITS.linkMessageBytes) / JSON.stringify(report).length);
  assert.ok(count < LIMITS.logTailEntries, 'the master has them all at hand');
  for (let restarts = 1; restarts <= count; restarts += 1)
    ruling.cluster.runnerChanged({ ...report, restarts });
  const back = await startTestNode(network, { key, disk: away.disk, incarnation: 2 });
  alive.push(back);
  back.links.dial(ruling.links.address);
  await agreed(alive);
  await until(
    () => alive.every(({ cluster }) => cluster.state.runners.get(report.runnerId)?.restarts === count),
    'both have the last word',
  );
});

test('R1: a message that no link can carry ends nobody; it is told of, and the rest goes on', async (t) => {
  let listener: PeerLinkListener | undefined;
  const links: PeerLinks = {
    peers: new Map(),
    listen: (one) => {
      listener = one;
    },
    send: () => {
      throw new FrameError('a message is over the limit');
    },
    openStream: () => assert.fail('no stream is opened'),
    serveStreams: () => undefined,
    dial: () => undefined,
    close: () => Promise.resolve(),
  };
  const store: NodeStore = new FileControlStore({ files: new SimulatedDisk(), notify: () => undefined });
  const cluster = await ClusterNode.open({ links, store }, nodeFact());
  t.after(async () => {
    cluster.stop();
    await store.close();
  });
  const told: NodeId[] = [];
  cluster.listen({ tooLong: (to) => told.push(to) });
  cluster.start();
  const peer = { nodeId: OTHER_NODE, name: 'other', incarnation: 1, address: '', localAddress: null };
  listener?.opened({ ...peer, roundTripUs: null });
  await until(() => told.includes(OTHER_NODE), 'it is told');
  await until(() => cluster.isUpToDate, 'it rules');
  await cluster.command({ kind: 'CreateInstance', instance: instanceRecord('a') });
});

test('R57: an entry that is too long for the log on disk ends nobody, and outlives the node in a snapshot', async (t) => {
  const network = new MemoryNetwork();
  const key = NodeKey.make();
  const node = await startTestNode(network, { key });
  await until(() => node.cluster.isUpToDate, 'it rules');
  const addresses = Array.from({ length: 64 }, () => 'x'.repeat(20_000));
  node.cluster.nodeChanged({ ...nodeFact(node.nodeId), addresses });
  const told = ({ cluster, nodeId }: TestNode) => cluster.state.nodes.get(nodeId)?.addresses.length;
  await until(() => told(node) === addresses.length, 'the state has it');
  await node.cluster.command({ kind: 'CreateInstance', instance: instanceOn(node, 'after it') });
  await node.kill();
  const store: NodeStore = new FileControlStore({ files: node.disk, notify: () => undefined });
  const { snapshot, records } = await store.load();
  t.after(() => store.close());
  const known = snapshot?.nodes.find(({ nodeId }) => nodeId === node.nodeId);
  assert.equal(known?.addresses.length, addresses.length);
  assert.ok(records.some(({ event }) => event.kind === 'InstanceCreated'));
});

test('R56, R57: when the master dies another takes over with the state, and the dead node is known', async (t) => {
  const { nodes } = await startCluster(3);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const dying = nodes.find((node) => master(node) === node.nodeId) as TestNode;
  const left = nodes.filter((node) => node !== dying);
  await (left[0] as TestNode).cluster.command({
    kind: 'CreateInstance',
    instance: instanceOn(left[1] as TestNode, 'kept'),
  });
  // On a machine that is busy the answer may come before all have it: it waits for them `replicationWaitMs` at most.
  const isKept = ({ cluster }: TestNode) => cluster.state.instances.has('kept' as InstanceId);
  await until(() => left.every(isKept), 'all have it');
  await dying.kill();
  // On a machine that is busy each may rule alone for a moment before they hear each other.
  await until(
    () =>
      new Set(left.map(master)).size === 1 &&
      left.every(({ cluster }) => statusOf(cluster.state, dying.nodeId) === 'dead'),
    'one master, which knows the dead node',
  );
  assert.ok(left.every(isKept));
});

test('R1: a request of a node that is not master is placed, and its end reaches the state of all', async (t) => {
  const { nodes } = await startCluster(2);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const asking = nodes.find((node) => master(node) !== node.nodeId) as TestNode;
  const serving = nodes.find((node) => node !== asking) as TestNode;
  await asking.cluster.command({ kind: 'CreateInstance', instance: instanceOn(serving, 'a') });
  const taskId = 'task' as TaskId;
  const placedOn = await new Promise<NodeId>((resolve, reject) => {
    asking.cluster.openTask(
      { taskId, commandId: 'command' as CommandId, modelId: MODEL, deadlineMs: 60_000, placeWaitMs: 0 },
      { placed: ({ nodeId }) => resolve(nodeId), moving: reject, ended: reject },
    );
  });
  assert.equal(placedOn, serving.nodeId);
  await until(() => serving.cluster.state.tasks.size === 1, 'the task is in the state');
  asking.cluster.taskStreamEnded(taskId, 'complete');
  await until(() => serving.cluster.state.tasks.size === 0, 'the task has ended in the state');
  assert.equal(serving.cluster.state.finishedTasks.at(-1)?.status, 'complete');
});

test('R35: a node that comes back has its log again, also when nobody else is left', async (t) => {
  const network = new MemoryNetwork();
  const key = NodeKey.make();
  const first = await startTestNode(network, { key });
  await first.cluster.untilUpToDate(AbortSignal.timeout(BOUND_MS));
  await first.cluster.command({ kind: 'CreateInstance', instance: instanceOn(first, 'kept') });
  const { term } = first.cluster.state;
  await first.kill();
  const second = await startTestNode(network, { key, disk: first.disk, incarnation: 2 });
  t.after(() => second.kill());
  await second.cluster.untilUpToDate(AbortSignal.timeout(BOUND_MS));
  assert.ok(second.cluster.state.instances.has('kept' as InstanceId));
  assert.ok(second.cluster.state.term > term, 'a term is claimed once');
});

test('R57: a disk that refuses does not count as one that has the decision: the answer waits its time for it', async (t) => {
  const { nodes } = await startCluster(1);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const [node] = nodes as [TestNode];
  const create = async (id: string) => {
    const asked = performance.now();
    await node.cluster.command({ kind: 'CreateInstance', instance: instanceOn(node, id) });
    return performance.now() - asked;
  };
  node.disk.failNext(Number.POSITIVE_INFINITY);
  const [first, second] = [await create('while it is tried'), await create('after it has refused')];
  assert.ok(first >= TIMES.replicationWaitMs, `answered after ${first} ms`);
  assert.ok(second >= TIMES.replicationWaitMs, `answered after ${second} ms`);
  assert.equal(node.cluster.state.instances.size, 2, 'and the node goes on');
  node.disk.failNext(0);
});

test('R57: while a link is silent, requests go to another node that serves the model, if there is one', async (t) => {
  const { network, nodes } = await startCluster(3);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const [asking, silent, other] = nodes as [TestNode, TestNode, TestNode];
  const placed = (name: string) =>
    new Promise<NodeId>((resolve, reject) => {
      const taskId = name as TaskId;
      const task = {
        taskId,
        commandId: name as CommandId,
        modelId: MODEL,
        deadlineMs: 60_000,
        placeWaitMs: 0,
      };
      const listener = {
        placed: ({ nodeId }: { readonly nodeId: NodeId }) => {
          asking.cluster.taskStreamEnded(taskId, 'complete');
          resolve(nodeId);
        },
        moving: reject,
        ended: reject,
      };
      asking.cluster.openTask(task, listener);
    });
  // Of instances that are equally idle, the one with the smaller id is taken.
  await asking.cluster.command({ kind: 'CreateInstance', instance: instanceOn(silent, 'a') });
  assert.equal(await placed('before'), silent.nodeId);
  network.cut(asking.links, silent.links);
  let turn = 0;
  await asking.cluster.command({ kind: 'CreateInstance', instance: instanceOn(other, 'b') });
  let last: NodeId | null = null;
  const end = performance.now() + BOUND_MS;
  while (last !== other.nodeId) {
    assert.ok(performance.now() < end, 'requests still go over the silent link');
    last = await placed(`${turn++}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.ok(asking.links.peers.has(silent.nodeId), 'the link has not noticed yet');
  assert.equal(statusOf(asking.cluster.state, silent.nodeId), 'alive', 'the third vouches for it');
});

test('R11: what a node is asked before it stops, and after that, ends with a code', async (t) => {
  const { network, nodes } = await startCluster(2);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const [first, second] = nodes as [TestNode, TestNode];
  const follower = master(first) === first.nodeId ? second : first;
  // The master is silent, so that nothing is answered before the node stops.
  network.cut(first.links, second.links);
  const ask = (name: string) => {
    const task = {
      taskId: name as TaskId,
      commandId: name as CommandId,
      modelId: MODEL,
      deadlineMs: 60_000,
      placeWaitMs: 0,
    };
    const ended = new Promise<string>((resolve, reject) => {
      follower.cluster.openTask(task, { placed: reject, moving: reject, ended: ({ code }) => resolve(code) });
    });
    const instance = instanceOn(follower, name);
    const answered = follower.cluster.command({ kind: 'CreateInstance', instance });
    return { ended, refused: assert.rejects(answered, { code: 'not_ready' }) };
  };
  const before = ask('before');
  follower.cluster.stop();
  const after = ask('after');
  for (const { ended, refused } of [before, after]) {
    assert.equal(await ended, 'not_ready');
    await refused;
  }
});

test('R59: two sides of a cut cable each serve on, and are one again with what both decided', async (t) => {
  const { network, nodes } = await startCluster(2);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const [first, second] = nodes as [TestNode, TestNode];
  network.cut(first.links, second.links);
  await until(() => nodes.every((node) => master(node) === node.nodeId), 'each rules its side');
  for (const node of nodes) {
    const instance = instanceOn(node, `of-${node.nodeId}`);
    await node.cluster.command({ kind: 'CreateInstance', instance });
  }
  network.heal(first.links, second.links);
  await agreed(nodes);
  await until(
    () => nodes.every(({ cluster }) => cluster.state.instances.size === 2),
    'both instances in both',
  );
});

test('R72: who followed a history that was given up gets the state, also when the new one is as long', async (t) => {
  const { network, nodes } = await startCluster(2);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const [first, second] = nodes as [TestNode, TestNode];
  const stays = master(first) === first.nodeId ? first : second;
  const follows = stays === first ? second : first;
  let made = 0;
  const makeEvents = async ({ cluster }: TestNode) => {
    made += 1;
    const instance = instanceOn(follows, `short-lived ${made}`);
    await cluster.command({ kind: 'CreateInstance', instance });
    await cluster.command({ kind: 'DeleteInstance', instanceId: instance.instanceId });
  };
  let isReplaced = false;
  follows.cluster.listen({ replaced: () => (isReplaced = true) });
  network.cut(first.links, second.links);
  await until(() => nodes.every((node) => master(node) === node.nodeId), 'each rules its side');
  for (let i = 0; i < 8; i += 1) await makeEvents(follows);
  const { index } = follows.cluster.state;
  assert.deepEqual(follows.cluster.eventsSince(index), []);
  network.heal(first.links, second.links);
  await until(() => isReplaced, 'the side that follows has another history');
  await agreed(nodes);
  while (follows.cluster.state.index <= index) await makeEvents(follows);
  assert.equal(follows.cluster.eventsSince(index), null);
});

test('R55: a message that is not as it should be is dropped and told of, and harms nothing', async (t) => {
  const { nodes } = await startCluster(2);
  t.after(() => Promise.all(nodes.map((node) => node.kill())));
  const [first, second] = nodes as [TestNode, TestNode];
  const problems: string[] = [];
  second.cluster.listen({ misunderstood: (_from, problem) => problems.push(problem) });
  const position = { index: 1, epoch: { term: 1, nodeId: first.nodeId } };
  const nonsense: unknown[] = [
    { kind: 'Pulse' },
    {
      kind: 'Append',
      epoch: position.epoch,
      previous: position,
      acknowledge: true,
      entries: [{ index: 'one' }],
    },
    { kind: 'Install', epoch: position.epoch, snapshot: null },
    { kind: 'Relay', from: first.nodeId, to: second.nodeId, message: { kind: 'Relay' } },
  ];
  for (const message of nonsense) first.links.send(second.nodeId, message);
  await until(() => problems.length === nonsense.length, 'all are told of');
  await second.cluster.command({ kind: 'CreateInstance', instance: instanceOn(first, 'after') });
  await agreed(nodes);
});
