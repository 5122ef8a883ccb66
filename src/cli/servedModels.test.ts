import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryNetwork } from '../cluster/link/testing/memoryLinks.js';
import { startTestNode } from '../cluster/testing.js';
import type { InstanceRecord } from '../control/state.js';
import { instanceRecord } from '../control/testing.js';
import type { NodeId } from '../shared/ids.js';
import { createInstances } from './servedModels.js';

async function master(t: TestContext) {
  const node = await startTestNode(new MemoryNetwork());
  t.after(() => node.kill());
  await node.cluster.untilUpToDate(AbortSignal.timeout(15_000));
  return node;
}

const wanted = (nodeId: NodeId, id: string, contextLength = 512): InstanceRecord => {
  const record = instanceRecord(id);
  return { ...record, contextLength, shards: record.shards.map((shard) => ({ ...shard, nodeId })) };
};

test('R31: a repeated attempt, while the one before is under way, makes no second instance', async (t) => {
  const { cluster, nodeId } = await master(t);
  const instances = [wanted(nodeId, 'one')];
  await Promise.all([
    createInstances(cluster, nodeId, instances),
    createInstances(cluster, nodeId, instances),
  ]);
  assert.deepEqual([...cluster.state.instances.keys()], ['one']);
});

test('an instance of the same size is kept, one of another size gives way', async (t) => {
  const { cluster, nodeId } = await master(t);
  await createInstances(cluster, nodeId, [wanted(nodeId, 'first')]);
  await createInstances(cluster, nodeId, [wanted(nodeId, 'again')]);
  assert.deepEqual([...cluster.state.instances.keys()], ['first']);
  await createInstances(cluster, nodeId, [wanted(nodeId, 'larger', 1_024)]);
  assert.deepEqual([...cluster.state.instances.keys()], ['larger']);
});

test('what somebody deleted between two attempts stays deleted', async (t) => {
  const { cluster, nodeId } = await master(t);
  const instance = wanted(nodeId, 'one');
  await createInstances(cluster, nodeId, [instance]);
  await cluster.command({ kind: 'DeleteInstance', instanceId: instance.instanceId });
  await createInstances(cluster, nodeId, [instance]);
  assert.equal(cluster.state.instances.size, 0);
});
