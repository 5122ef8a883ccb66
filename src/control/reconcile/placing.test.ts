import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { NodeId } from '../../shared/ids.js';
import type { NodeSpeed } from '../../shared/nodeSpeed.js';
import type { Placement } from '../placement/types.js';
import { metaInstanceWish, modelShape } from '../testing.js';
import { placeWish } from './placing.js';
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
