import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { apply } from '../control/apply.js';
import { anyEvent } from '../control/arbitraries.js';
import type { PeerMessage } from '../control/cluster/messages.js';
import type { ControlEvent } from '../control/events.js';
import { instanceCreated, NODE, runnerFact, stateAfter } from '../control/testing.js';
import { viewEvent, viewState } from '../control/view.js';
import type { Fault } from '../shared/errors.js';
import type { InstanceId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { parsePeerMessage } from './peerMessages.js';

const EPOCH = { term: 1, nodeId: NODE };
const NOTHING_MEASURED = { nodes: new Map(), runners: new Map(), links: [] };

const append = (event: unknown) => ({
  kind: 'Append',
  epoch: EPOCH,
  previous: { index: 0, epoch: EPOCH },
  entries: [{ index: 1, epoch: EPOCH, event }],
  acknowledge: false,
});

/** Null when the message is refused. */
function read(message: unknown): PeerMessage | null {
  const parsed = parsePeerMessage(message);
  assert.ok(parsed !== null, 'it is for the core');
  return 'message' in parsed ? parsed.message : null;
}

function eventIn(message: PeerMessage | null): ControlEvent | null {
  return message?.kind === 'Append' ? (message.entries[0]?.event ?? null) : null;
}

const answerWith = (fault: unknown) => read({ kind: 'Answer', key: 'k', answer: { fault } });

function faultIn(message: PeerMessage | null): Fault {
  assert.ok(message?.kind === 'Answer' && 'fault' in message.answer);
  return message.answer.fault;
}

test('what a member of this version says is taken as it is', () => {
  fc.assert(
    fc.property(anyEvent, (event) => {
      assert.deepEqual(eventIn(read(append(event))), structuredClone(event));
    }),
  );
});

/** What breaks dates, indices, look-ups and recursion. */
const wrong = fc.constantFrom<unknown>(
  Number.NaN,
  Number.POSITIVE_INFINITY,
  -1,
  0.5,
  1e300,
  2 ** 53,
  'toString',
  '__proto__',
  '',
  null,
  [],
  {},
  deep(10_000),
);

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level += 1) value = { value };
  return value;
}

/** Replaces something within a value: where `path` leads, as long as there is something. */
function replaced(value: unknown, [first, ...rest]: readonly number[], by: unknown): unknown {
  if (first === undefined || typeof value !== 'object' || value === null) return by;
  const keys = Object.keys(value);
  const key = keys[first % keys.length];
  if (key === undefined) return by;
  const next = replaced((value as Record<string, unknown>)[key], rest, by);
  if (Array.isArray(value)) return value.map((item, index) => (String(index) === key ? next : item));
  return { ...value, [key]: next };
}

test('R1, R33: whatever a member says, this node can live with it, and show it', () => {
  const path = fc.array(fc.nat(9), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(anyEvent, path, wrong, (event, where, by) => {
      const taken = eventIn(read(append(replaced(event, where, by))));
      if (taken === null) return;
      JSON.stringify(viewEvent(taken));
      const after = apply(stateAfter(instanceCreated('a')), taken);
      JSON.stringify(viewState(after, NOTHING_MEASURED, NODE));
    }),
    { numRuns: 2_000 },
  );
});

test('a moment that is no date is refused, since people are shown it as one', () => {
  for (const at of [8.64e15 + 1, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    const event = {
      kind: 'InstanceFailed',
      instanceId: 'a' as InstanceId,
      attempt: 1,
      failure: { at, nodeId: NODE, message: 'x' },
      nextAttemptAt: null,
    };
    assert.equal(read(append(event)), null, String(at));
  }
});

test('R6: a fault keeps its code where this version knows it, and what can be shown of its details', () => {
  const told = { code: 'node_lost', message: 'm', details: { rank: 1, nodes: [{ name: 'a' }] } };
  assert.deepEqual(faultIn(answerWith(told)), told);
  for (const code of ['toString', '__proto__', 'of_a_later_version']) {
    assert.equal(faultIn(answerWith({ ...told, code })).code, 'internal_error');
  }
  for (const details of [
    deep(LIMITS.jsonDepth + 1),
    deep(10_000),
    { big: 2n ** 70n },
    { long: 'x'.repeat(LIMITS.faultDetailsCharacters) },
    7,
  ]) {
    assert.equal(faultIn(answerWith({ ...told, details })).details, undefined);
  }
});

test('R45: what a runner failed by comes with its details, which name the rank at fault', () => {
  const fact = {
    ...runnerFact('a', 'failed'),
    error: {
      code: 'node_lost',
      message: 'rank 1 is gone',
      details: { rank: 1, node: 'desk' },
      phase: 'ready',
      stderrTail: ['last words'],
      ranForMs: 5,
    },
  };
  const event = { kind: 'RunnerStatusChanged', runner: fact };
  assert.deepEqual(eventIn(read(append(event))), event);
});
