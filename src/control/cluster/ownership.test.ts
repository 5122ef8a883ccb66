import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TIMES } from '../../shared/limits.js';
import {
  instanceCreated,
  instanceDeleted,
  NODE,
  nodeFact,
  nodeJoined,
  OTHER_NODE,
  runnerFact,
} from '../testing.js';
import { Ledger } from './ledger.js';
import { NodeContext } from './nodeContext.js';
import { OpenTasks } from './openTasks.js';
import { Ownership } from './ownership.js';
import type { RunnerReport } from './ports.js';
import { epoch, logOf } from './testing.js';

const { incarnation: _life, sequence: _count, ...READY } = runnerFact('a', 'ready');
const STOPPED: RunnerReport = { ...READY, status: 'stopped' };
const RUNNER = READY.runnerId;

/** A follower with the runner of an instance, and whatever it says to its master. */
function setUp() {
  const history = [nodeJoined(NODE), nodeJoined(OTHER_NODE), instanceCreated('a')];
  const context = new NodeContext(nodeFact(), logOf(history.map((event) => [1, event])));
  context.role = 'follower';
  context.epoch = epoch(1, OTHER_NODE);
  context.isSynced = true;
  const ownership = new Ownership(context, new Ledger(context), new OpenTasks());
  const said = () =>
    context.outputs.splice(0).flatMap((output) => {
      if (output.kind !== 'Send' || output.message.kind !== 'Report') return [];
      return output.message.facts.runners.map(({ status }) => status);
    });
  return { context, ownership, said };
}

test('R25: that a runner has ended is said until the state has it, also after the runner is gone', () => {
  const { context, ownership, said } = setUp();
  ownership.runnerChanged(READY, 0);
  ownership.runnerChanged(STOPPED, 0);
  ownership.runnerGone(RUNNER);
  assert.deepEqual(said(), ['ready', 'stopped']);
  // Both were lost.
  for (let look = 1; look < 4; look += 1) {
    ownership.look(look * TIMES.reportRetryMs);
    assert.deepEqual(said(), ['stopped']);
  }
  const [fact] = ownership.everything().runners;
  assert.equal(fact?.status, 'stopped');
  context.log.append(epoch(1, OTHER_NODE), { kind: 'RunnerStatusChanged', runner: fact });
  ownership.look(10 * TIMES.reportRetryMs);
  assert.deepEqual(said(), []);
});

test('R58: a runner that is gone is forgotten when the state has forgotten it', () => {
  const { context, ownership } = setUp();
  ownership.runnerChanged(STOPPED, 0);
  ownership.runnerGone(RUNNER);
  assert.equal(ownership.everything().runners.length, 1);
  context.log.append(epoch(1, OTHER_NODE), instanceDeleted('a'));
  ownership.look(TIMES.reportRetryMs);
  assert.deepEqual(ownership.everything().runners, []);
  ownership.runnerChanged(STOPPED, 0);
  ownership.runnerGone(RUNNER);
  assert.deepEqual(ownership.everything().runners, []);
});

test('a runner that comes back under its name is there again', () => {
  const { context, ownership } = setUp();
  ownership.runnerChanged(STOPPED, 0);
  ownership.runnerGone(RUNNER);
  ownership.runnerChanged(READY, 1);
  context.log.append(epoch(1, OTHER_NODE), instanceDeleted('a'));
  ownership.look(TIMES.reportRetryMs);
  assert.deepEqual(
    ownership.everything().runners.map(({ status }) => status),
    ['ready'],
  );
});

test('R32, R59: a runner of this life that was forgotten, and that an older log brings back, is said to have ended', () => {
  const { context, ownership, said } = setUp();
  ownership.runnerChanged(READY, 0);
  const [ready] = ownership.everything().runners;
  context.log.append(epoch(1, OTHER_NODE), instanceDeleted('a'));
  ownership.runnerChanged(STOPPED, 0);
  ownership.runnerGone(RUNNER);
  said();
  context.log.append(epoch(1, OTHER_NODE), instanceCreated('b'));
  context.log.append(epoch(1, OTHER_NODE), {
    kind: 'RunnerStatusChanged',
    runner: { ...ready!, runnerId: runnerFact('b', 'ready').runnerId },
  });
  ownership.look(TIMES.reportRetryMs);
  assert.deepEqual(said(), ['stopped', 'stopped']);
  ownership.look(2 * TIMES.reportRetryMs);
  assert.deepEqual(said(), ['stopped'], 'until the state has it');
  const [ended] = ownership.everything().runners;
  context.log.append(epoch(1, OTHER_NODE), { kind: 'RunnerStatusChanged', runner: ended! });
  ownership.look(3 * TIMES.reportRetryMs);
  assert.deepEqual(said(), []);
});
