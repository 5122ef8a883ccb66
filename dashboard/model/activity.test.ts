/** What happens, in words: every kind of event that the page knows, and those that it does not. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { anyHistory } from '../../src/control/arbitraries.js';
import { viewEvent } from '../../src/control/view.js';
import { feedLine } from './activity.js';
import { readState } from './wire.js';

const state = readState({
  index: 1,
  nodes: { a: { node_id: 'a', name: 'lighthouse' } },
  instances: { i: { instance_id: 'i', model_id: 'tiny', shards: [] } },
  meta_instances: { m: { meta_instance_id: 'm', model_id: 'tiny' } },
});
const textOf = (event: { kind: string; [field: string]: unknown }) => {
  assert.ok(state !== null);
  const { text, tone } = feedLine(state, event, 1, 0);
  return `${tone}: ${text}`;
};

test('R28, R74: what becomes of a wish is told in words', () => {
  const failure = { at: '', node_id: 'a', message: 'SIGKILL' };
  const refusal = { at: '', message: 'too large', nodes: [] };
  const told = [
    { kind: 'MetaInstanceCreated', meta_instance: { meta_instance_id: 'm', model_id: 'tiny' } },
    { kind: 'PlacementRefused', meta_instance_id: 'm', placement_error: refusal },
    { kind: 'InstanceFailed', instance_id: 'i', attempt: 2, failure },
    { kind: 'InstanceRetrying', instance_id: 'i', attempt: 3 },
    { kind: 'MetaInstanceServed', meta_instance_id: 'm', since: '2026-01-01T00:00:00Z' },
    { kind: 'MetaInstanceServed', meta_instance_id: 'm', since: null },
    { kind: 'MetaInstanceFailed', meta_instance_id: 'm' },
    { kind: 'MetaInstanceRetried', meta_instance_id: 'm' },
    { kind: 'MetaInstanceDeleted', meta_instance_id: 'm' },
    { kind: 'OfALaterVersion' },
    { kind: 'MetaInstanceCreated' },
  ].map(textOf);
  assert.deepEqual(told, [
    'busy: tiny shall run',
    'warning: tiny has no place',
    'bad: tiny failed on lighthouse, attempt 2',
    'busy: tiny is started again, attempt 3',
    'good: tiny is served',
    'warning: tiny is not served any more',
    'bad: tiny has failed too often and is not tried any more',
    'busy: tiny is tried again, as a user asked',
    'off: tiny shall not run any more',
    'off: Of alater version',
    'off: Meta instance created',
  ]);
});

test('every event of the control plane is told in words of its own', () => {
  fc.assert(
    fc.property(anyHistory, (history) => {
      for (const event of history) {
        assert.ok(state !== null);
        const line = feedLine(state, viewEvent(event) as { kind: string }, 1, 0);
        assert.ok(line.text.length > 0);
        assert.ok(line.detail === null || !line.detail.startsWith('{"kind"'), `${event.kind} is shown raw`);
      }
    }),
  );
});
