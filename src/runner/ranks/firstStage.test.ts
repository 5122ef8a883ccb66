import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BlockingCollective } from '../../collective/bridge/blockingCollective.js';
import { allocateBridge } from '../../collective/bridge/layout.js';
import type { StepInput, StepResult } from '../../engine/contract.js';
import { TIMES } from '../../shared/limits.js';
import { SharedStatus } from '../sharedStatus.js';
import { FakeEngine } from '../testing/fakeEngine.js';
import { FirstStage } from './firstStage.js';
import { Inbox, Outbox } from './mailbox.js';
import { Patience } from './patience.js';

const ROOM_BYTES = 16 * 1024;

class FirstLayers extends FakeEngine {
  override step({ positions }: StepInput): StepResult {
    return { kind: 'hidden', hidden: new Float32Array(positions.length) };
  }
}

/** A first stage over links on which nothing ever moves: the other rank is there, and answers nothing. */
function unanswered() {
  let now = 0;
  const ranks = new BlockingCollective(allocateBridge(8, 8 * ROOM_BYTES));
  const patience = new Patience(new SharedStatus(), () => undefined);
  const from = {
    rank: 1,
    names: ['here', 'there'],
    receive: (room: Uint8Array) => ranks.receive(1, room, undefined, null),
  };
  const send = (bytes: Uint8Array) => ranks.send(1, 0, bytes, null);
  const stage = new FirstStage(
    {
      engine: new FirstLayers({ batchRows: 4, sequences: 2, cells: 16, vocabularySize: 9 }),
      next: new Outbox(ranks, send, { roomBytes: ROOM_BYTES, rooms: 3 }, patience),
      outcomes: new Inbox(ranks, from, ROOM_BYTES, patience),
      clock: () => now,
    },
    2,
  );
  const submit = () =>
    stage.submit({
      input: {
        tokens: Int32Array.of(1),
        hidden: null,
        positions: Int32Array.of(0),
        sequences: Int32Array.of(0),
        outputs: Uint8Array.of(1),
      },
      draws: [[0]],
    });
  /** Looks for the outcome as a leader does that has nothing to compute. */
  const look = (forMs: number) => {
    for (let left = forMs; left > 0; left -= TIMES.heartbeatMs) {
      now += TIMES.heartbeatMs;
      assert.equal(stage.take(), null);
    }
  };
  const stand = (forMs: number) => {
    now += forMs;
  };
  return { stage, submit, look, stand };
}

test('R1, R7: a rank that lives and answers no step is named, and ends the instance instead of every request', () => {
  const { stage, submit, look, stand } = unanswered();
  look(2 * TIMES.rankAnswerMs);
  assert.equal(submit(), null);
  look(TIMES.rankAnswerMs - TIMES.heartbeatMs);
  submit();
  stand(TIMES.heartbeatMs);
  assert.throws(() => stage.take(), {
    code: 'deadline_exceeded',
    message: /^rank 1 \(there\) has not answered a step/,
    details: { rank: 1, node: 'there' },
  });
});

test('R44: the time in which the first rank itself computed, or stood still, is not held against the others', () => {
  const { stage, submit, look, stand } = unanswered();
  submit();
  stand(10 * TIMES.rankAnswerMs);
  assert.equal(stage.take(), null);
  look(TIMES.rankAnswerMs / 2);
});
