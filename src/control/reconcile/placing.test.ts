import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeId } from '../../shared/ids.js';
import type { NodeSpeed } from '../../shared/nodeSpeed.js';
import { NOTHING_MEASURED } from '../measurements.js';
import type { Placement } from '../placement/types.js';
import type { MetaInstanceRecord } from '../state.js';
import { metaInstanceWish, modelShape } from '../testing.js';
import { circumstances, placeWish } from './placing.js';
import { reconcile } from './reconcile.js';
import { Scene } from './testing.js';

const speed = (gigabytes: number): NodeSpeed => ({
  memoryBytesPerSecond: gigabytes * 1e9,
  operationsPerSecond: gigabytes * 5e9,
});

function placed(
  scene: Scene,
  speeds: Readonly<Record<string, NodeSpeed>>,
  minNodes: number | null,
): Placement {
  const { state, links } = scene;
  const known = { state, links, speeds: new Map(Object.entries(speeds) as [NodeId, NodeSpeed][]) };
  const result = placeWish(known, metaInstanceWish('m', { minNodes }), modelShape());
  return result.kind === 'placed' ? result : assert.fail(result.message);
}

test('R38: what nodes measured of themselves decides where a model goes, and how its layers are divided', () => {
  const scene = new Scene('a', 'b', 'c');
  const on = (speeds: Readonly<Record<string, NodeSpeed>>) => placed(scene, speeds, null).shards[0]?.nodeId;
  assert.equal(on({}), 'a', 'of nodes that are alike the first');
  assert.equal(on({ a: speed(20), b: speed(80), c: speed(40) }), 'b');
  assert.equal(on({ c: speed(20) }), 'c', 'one that is measured before those that are assumed to be slow');
  assert.equal(on({ a: speed(2) }), 'b', 'but not one that is slower than that');
  assert.equal(on({ a: { memoryBytesPerSecond: 1e300, operationsPerSecond: 1e300 }, c: speed(20) }), 'c');
  const { shards } = placed(scene, { a: speed(20), b: speed(80), c: speed(20) }, 2);
  const layersOn = (nodeId: string) => {
    const shard = shards.find((candidate) => candidate.nodeId === nodeId);
    return shard === undefined ? 0 : shard.endLayer - shard.startLayer;
  };
  assert.ok(layersOn('b') > layersOn('a') + layersOn('c'));
});

test('R9, R29: what refusals rest on is made once, however many wishes wait, and anew when something of it changes', () => {
  const scene = new Scene('a', 'b');
  for (let wish = 0; wish < 20; wish += 1) scene.wish(`w${wish}`, { nodeIds: ['a' as NodeId], minNodes: 1 });
  for (let look = 0; look < 3; look += 1) scene.look();
  assert.ok([...scene.state.metaInstances.values()].filter(isWaiting).length > 10);
  let reads = 0;
  const links = scene.links.map((link) => ({
    ...link,
    get from() {
      reads += 1;
      return link.from;
    },
  }));
  const { state, now, reign } = scene;
  const input = { ...NOTHING_MEASURED, state, now, reign, links, lostLinks: [] };
  reconcile(input);
  const once = reads;
  assert.ok(once > 0 && once <= 2 * links.length, `${once} reads of ${links.length} links`);
  reconcile(input);
  assert.equal(reads, once);
  const before = circumstances({ state: scene.state, links });
  scene.judge('b', 'dead');
  assert.notEqual(circumstances({ state: scene.state, links }), before);
  scene.judge('b', 'alive');
  assert.equal(circumstances({ state: scene.state, links }), before);
  const cut = links.map((link) => ({ ...link, isConnected: false }));
  assert.notEqual(circumstances({ state: scene.state, links: cut }), before);
});

const isWaiting = ({ placementProblem }: MetaInstanceRecord) => placementProblem !== null;
