import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryNetwork } from '../cluster/link/testing/memoryLinks.js';
import { startTestNode } from '../cluster/testing.js';
import { ModelCatalogue } from '../models/catalogue.js';
import type { MetaInstanceId } from '../shared/ids.js';
import { declareServed, modelsHere, resolveServed, wishesFor } from './servedModels.js';
import type { UpOptions } from './upOptions.js';

async function setUp(t: TestContext) {
  const node = await startTestNode(new MemoryNetwork());
  t.after(() => node.kill());
  await node.cluster.untilUpToDate(AbortSignal.timeout(15_000));
  const options = { serve: ['shoal-guide'], context: null, sequences: null } as unknown as UpOptions;
  const served = await resolveServed(new ModelCatalogue({ directories: [] }), options);
  const wishes = () => wishesFor(served, options);
  return { cluster: node.cluster, wishes };
}

test('R31: a repeated attempt, while the one before is under way, declares nothing twice', async (t) => {
  const { cluster, wishes } = await setUp(t);
  const wanted = wishes();
  await Promise.all([declareServed(cluster, wanted), declareServed(cluster, wanted)]);
  assert.deepEqual([...cluster.state.metaInstances.keys()], [wanted[0]?.metaInstance.metaInstanceId]);
});

test('a model that somebody declared already is not declared again', async (t) => {
  const { cluster, wishes } = await setUp(t);
  await declareServed(cluster, wishes());
  await declareServed(cluster, wishes());
  assert.equal(cluster.state.metaInstances.size, 1);
});

test('what somebody deleted between two attempts stays deleted', async (t) => {
  const { cluster, wishes } = await setUp(t);
  const wanted = wishes();
  await declareServed(cluster, wanted);
  const metaInstanceId = wanted[0]?.metaInstance.metaInstanceId as MetaInstanceId;
  await cluster.command({ kind: 'DeleteMetaInstance', metaInstanceId });
  await declareServed(cluster, wanted);
  assert.equal(cluster.state.metaInstances.size, 0);
});

test('a folder of --models that is not there is told, and the others count', async () => {
  const folder = '/nowhere/models';
  const told: [string, string][] = [];
  const catalogue = new ModelCatalogue({ directories: [folder] });
  const models = await modelsHere(catalogue, [], [folder], (...words) => told.push(words));
  assert.deepEqual([models, told], [['shoal-guide'], [[folder, 'It cannot be read: ENOENT.']]]);
});
