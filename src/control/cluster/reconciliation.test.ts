import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { metaInstanceWish, modelShape, nodeFact } from '../testing.js';
import { ControlLog } from './controlLog.js';
import { NodeCore } from './nodeCore.js';
import type { NodeInput } from './ports.js';

/** A node that rules alone, with memory for one model. */
function ruling() {
  const core = new NodeCore({ node: nodeFact(), log: new ControlLog(), term: 0 });
  let now = 0;
  const handle = (input: NodeInput) => core.handle(input, { monotonicMs: now, wallMs: 1_000_000 + now });
  const tick = () => {
    now += TIMES.tickMs;
    handle({ kind: 'Tick' });
  };
  while (core.role !== 'master') tick();
  return { core, handle, tick };
}

test('R9, R23: what many wishes wait for is given to some at a time, look after look without a pause', () => {
  const { core, handle, tick } = ruling();
  const count = 3 * LIMITS.reconcilePasses;
  for (let at = 0; at < count; at += 1) {
    const command = {
      kind: 'CreateMetaInstance',
      metaInstance: metaInstanceWish(`w${at}`),
      shape: modelShape(),
    } as const;
    handle({ kind: 'CommandIssued', key: `k${at}`, timeoutMs: TIMES.commandDeadlineMs, command });
  }
  assert.deepEqual([core.state.metaInstances.size, core.state.instances.size], [count, 1]);
  handle({ kind: 'NodeChanged', node: { ...nodeFact(), memoryBytes: count * nodeFact().memoryBytes } });
  const placed = core.state.instances.size;
  assert.ok(placed > 1 && placed <= 1 + LIMITS.reconcilePasses, `${placed} in one look`);
  for (let left = TIMES.reconcileMs / TIMES.tickMs / 2; left > 0; left -= 1) tick();
  assert.equal(core.state.instances.size, count);
});
