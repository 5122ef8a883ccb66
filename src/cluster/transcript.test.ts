import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { GenerationEvent, ResumedChoice } from '../shared/generation.js';
import { TEST_STATS as STATS } from '../shared/testing.js';
import { Transcript } from './transcript.js';

type Told = Exclude<GenerationEvent, { kind: 'failed' }>;

const STARTED: Told = { kind: 'started', promptTokens: 7, cachedPromptTokens: 0 };

/** What a runner says of choices of these lengths, without what is known already; each ends with a rest of text. */
function answer(lengths: readonly number[], known: readonly ResumedChoice[] | null): Told[] {
  const events: Told[] = [STARTED];
  const longest = Math.max(...lengths);
  for (let at = 0; at <= longest; at += 1) {
    for (const [choice, length] of lengths.entries()) {
      const have = known?.[choice];
      if (at > length || have?.reason != null) continue;
      if (at === length) {
        events.push({ kind: 'delta', choice, text: 'rest', tokens: [] });
        events.push({ kind: 'choice_finished', choice, reason: 'stop' });
      } else if (at >= (have?.tokens.length ?? 0)) {
        events.push({ kind: 'delta', choice, text: `${choice}.${at} `, tokens: [100 * choice + at] });
      }
    }
  }
  events.push({ kind: 'finished', stats: STATS });
  return events;
}

function take(transcript: Transcript, event: Told, nowMs = 0): readonly GenerationEvent[] {
  const told = transcript.take(event, nowMs);
  assert.ok(!('code' in told), JSON.stringify(told));
  return told;
}

const sorted = (events: readonly GenerationEvent[], choice: number) =>
  events.filter((event) => 'choice' in event && event.choice === choice);

test('R60: wherever runners are lost, each event of each choice is told once, in order', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 3 });
  fc.assert(
    fc.property(lengths, fc.array(fc.nat(12), { maxLength: 5 }), (lengths, cuts) => {
      const transcript = new Transcript(lengths.length, 0);
      const told: GenerationEvent[] = [];
      for (const cut of cuts) {
        for (const event of answer(lengths, transcript.begin()).slice(0, cut)) {
          if (event.kind !== 'finished') told.push(...take(transcript, event));
        }
      }
      for (const event of answer(lengths, transcript.begin())) told.push(...take(transcript, event));
      const whole = answer(lengths, null);
      for (const choice of lengths.keys()) assert.deepEqual(sorted(told, choice), sorted(whole, choice));
      assert.equal(told.filter(({ kind }) => kind === 'started').length, 1);
      assert.equal(told.at(-1)?.kind, 'finished');
    }),
  );
});

test('R60: the times of an answer that moved are those that its client saw', () => {
  const transcript = new Transcript(1, 1_000);
  transcript.begin();
  take(transcript, STARTED, 1_010);
  take(transcript, { kind: 'delta', choice: 0, text: 'a', tokens: [1] }, 1_040);
  assert.deepEqual(transcript.begin(), [{ tokens: [1], reason: null }]);
  take(transcript, STARTED, 3_000);
  const [end] = take(transcript, { kind: 'finished', stats: STATS }, 5_040);
  assert.ok(end?.kind === 'finished');
  assert.deepEqual(end.stats, { ...STATS, timeToFirstTokenMs: 40, decodeMs: 4_000, moves: 1 });
});

test('R60: an answer does not go on with a model that reads the prompt otherwise', () => {
  const transcript = new Transcript(1, 0);
  assert.equal(transcript.begin(), null);
  take(transcript, STARTED);
  assert.equal(transcript.isBegun, true);
  assert.equal(transcript.begin(), null, 'there is nothing to go on from yet');
  assert.equal(transcript.isBegun, false);
  const fault = transcript.take({ ...STARTED, promptTokens: 8 }, 0);
  assert.ok('code' in fault && /7 tokens.*8 here.*files differ/.test(fault.message));
});
