import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { MemoryNetwork } from '../cluster/link/testing/memoryLinks.js';
import { parsePeerMessage } from '../cluster/peerMessages.js';
import { startTestNode } from '../cluster/testing.js';
import { NO_FACTS } from '../control/cluster/facts.js';
import { NODE, nodeFact } from '../control/testing.js';
import { ModelCatalogue } from '../models/catalogue.js';
import { bareListing } from '../models/listing.js';
import type { MetaInstanceId, ModelId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
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

test('R54: a node with more models, or longer names, than others take tells of as many as they do, and joins', async () => {
  const id = (name: string) => name as ModelId;
  const listing = (name: string) => bareListing({ modelId: id(name), path: `/${name}`, refusal: null });
  const names = Array.from(
    { length: LIMITS.modelsPerNode + 50 },
    (_, at) => `m${String(at).padStart(5, '0')}`,
  );
  const long = 'x'.repeat(LIMITS.modelIdCharacters + 1);
  const catalogue = { list: () => Promise.resolve([long, ...names].map(listing)) };
  const models = await modelsHere(catalogue, [{ modelId: id('served') }], [], () => assert.fail());
  assert.equal(models.length, LIMITS.modelsPerNode);
  assert.ok(models.includes(id('served')) && models.includes(id('m00000')) && !models.includes(id(long)));
  const facts = { ...NO_FACTS, node: { ...nodeFact(), models } };
  const position = { index: 0, epoch: { term: 1, nodeId: NODE } };
  const joining = parsePeerMessage({ kind: 'Join', epoch: position.epoch, position, facts });
  assert.ok(joining !== null && 'message' in joining);
});
