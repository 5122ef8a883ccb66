import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../shared/limits.js';
import { anyEvent } from '../arbitraries.js';
import { EMPTY_STATE } from '../state.js';
import { instanceCreated, NODE, nodeJoined, OTHER_NODE, stateAfter, taskAssigned } from '../testing.js';
import { ControlLog, isBehind } from './controlLog.js';
import type { Entry } from './messages.js';
import { ORIGIN, type Position } from './position.js';
import type { Snapshot } from './snapshot.js';
import { epoch, logOf } from './testing.js';

const anyLog = fc.array(fc.tuple(fc.nat(1), anyEvent), { maxLength: 30 }).map((steps) =>
  logOf(
    steps.map(([, event], i) => {
      const terms = steps.slice(0, i + 1).map(([later]) => later);
      return [terms.reduce((sum, later) => sum + later, 1), event] as const;
    }),
  ),
);

const entriesOf = (log: ControlLog): readonly Entry[] => log.entriesAfter(ORIGIN) ?? [];
const positionAt = (entries: readonly Entry[], index: number): Position => entries[index - 1] ?? ORIGIN;
const anyCuts = fc.array(fc.tuple(fc.nat(30), fc.nat(30)), { maxLength: 20 });
const nothing = () => undefined;

/** As it crosses a network or lies on a disk. */
const carried = (snapshot: Snapshot) => JSON.parse(JSON.stringify(snapshot)) as Snapshot;

test('R58: entries that come cut, twice, overlapping or out of order give the state of the whole', () => {
  fc.assert(
    fc.property(anyLog, anyCuts, (master, cuts) => {
      const entries = entriesOf(master);
      const follower = new ControlLog();
      const told: number[] = [];
      const accept = (from: number, to: number) =>
        follower.accept(positionAt(entries, from), entries.slice(from, to), ({ index }) => told.push(index));
      for (const [a, b] of cuts) {
        const from = Math.min(a, b, entries.length);
        const before = follower.position.index;
        const acceptance = accept(from, Math.max(a, b));
        assert.equal(acceptance, from > before ? 'gap' : 'accepted');
      }
      const { length } = entries;
      assert.equal(accept(follower.position.index, length), 'accepted');
      assert.deepEqual(follower.state, master.state);
      assert.deepEqual(follower.position, master.position);
      assert.deepEqual(
        told,
        entries.map(({ index }) => index),
      );
    }),
  );
});

test('entries of a history that is not ours are a conflict and change nothing', () => {
  const events = [nodeJoined(), instanceCreated('a'), taskAssigned('t', 'a')];
  const ours = logOf(events.map((event) => [1, event]));
  const before = ours.state;
  const foreign = entriesOf(logOf(events.map((event) => [2, event])));
  for (let from = 0; from <= foreign.length; from += 1) {
    for (let to = from; to <= foreign.length; to += 1) {
      const previous = positionAt(foreign, from);
      const acceptance = ours.accept(previous, foreign.slice(from, to), nothing);
      // Nothing after the origin is nothing to disagree about.
      assert.equal(acceptance, to === 0 ? 'accepted' : 'conflict');
      assert.equal(ours.state, before);
    }
  }
  const follow = { index: 4, epoch: epoch(2), event: instanceCreated('b') };
  assert.equal(ours.accept(positionAt(foreign, 3), [follow], nothing), 'conflict');
  assert.equal(ours.accept({ index: 4, epoch: epoch(1) }, [], nothing), 'gap');
});

test('what follows a position brings a log that ends there up to date; a foreign position has nothing after it', () => {
  fc.assert(
    fc.property(anyLog, fc.nat(30), (master, cut) => {
      const entries = entriesOf(master);
      const end = Math.min(cut, entries.length);
      const follower = new ControlLog();
      follower.accept(ORIGIN, entries.slice(0, end), nothing);
      const missing = master.entriesAfter(follower.position);
      assert.ok(missing !== null);
      assert.equal(follower.accept(follower.position, missing, nothing), 'accepted');
      assert.deepEqual(follower.state, master.state);
      assert.equal(master.entriesAfter({ index: end, epoch: epoch(99) }), null);
      assert.equal(master.entriesAfter({ index: entries.length + 1, epoch: epoch(1) }), null);
    }),
  );
});

test('R58: a snapshot stands for the whole log, and the log goes on after it', () => {
  fc.assert(
    fc.property(anyLog, fc.array(anyEvent, { maxLength: 5 }), (master, later) => {
      const newcomer = new ControlLog();
      newcomer.install(carried(master.snapshot()));
      assert.deepEqual(newcomer.state, master.state);
      assert.deepEqual(newcomer.position, master.position);
      const { position } = newcomer;
      for (const event of later) master.append(epoch(99), event);
      assert.equal(newcomer.accept(position, master.entriesAfter(position) ?? [], nothing), 'accepted');
      assert.deepEqual(newcomer.state, master.state);
      if (position.index > 0) assert.equal(newcomer.entriesAfter(ORIGIN), null);
    }),
  );
});

test('an installed state takes the place of another history', () => {
  const log = logOf([[1, instanceCreated('a')]]);
  log.install(carried(new ControlLog().snapshot()));
  assert.deepEqual(log.state, EMPTY_STATE);
  assert.equal(log.accept(ORIGIN, [{ index: 1, epoch: epoch(1), event: nodeJoined() }], nothing), 'accepted');
  assert.deepEqual(log.state, stateAfter());
});

test('R58: only the newest entries are kept; who missed more needs the state, and late copies are harmless', () => {
  const log = new ControlLog();
  const count = 2 * LIMITS.logTailEntries + 1;
  const all: Entry[] = [];
  for (let i = 0; i < count; i += 1) all.push(log.append(epoch(1), nodeJoined()));
  assert.equal(log.entriesAfter(ORIGIN), null);
  assert.equal(log.entriesAfter(positionAt(all, count - LIMITS.logTailEntries - 2)), null);
  assert.equal(
    log.entriesAfter(positionAt(all, count - LIMITS.logTailEntries))?.length,
    LIMITS.logTailEntries,
  );
  const { state } = log;
  log.accept(ORIGIN, all.slice(0, 10), () => assert.fail('nothing of it is new'));
  assert.equal(log.state, state);
});

test('a log is behind one of another reign, and behind a longer one of its own', () => {
  const at = (index: number, term: number): Position => ({ index, epoch: epoch(term) });
  assert.equal(isBehind(at(5, 1), at(5, 1)), false);
  assert.equal(isBehind(at(5, 1), at(4, 1)), false);
  assert.equal(isBehind(at(4, 1), at(5, 1)), true);
  assert.equal(isBehind(at(9, 1), at(5, 2)), true);
  assert.equal(
    isBehind({ index: 5, epoch: epoch(1, NODE) }, { index: 5, epoch: epoch(1, OTHER_NODE) }),
    true,
  );
});
