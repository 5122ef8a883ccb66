/** Events out of pieces: however the text is cut, the same events come out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { LIMITS } from '../../src/shared/limits.js';
import { type ServerEvent, SseReader } from './sse.js';

function inPieces(text: string, cuts: readonly number[]): ServerEvent[] {
  const reader = new SseReader();
  const places = [...new Set(cuts.map((cut) => cut % (text.length + 1)))].sort((a, b) => a - b);
  return [...places, text.length].flatMap((place, index) =>
    reader.push(text.slice(places[index - 1] ?? 0, place)),
  );
}

test('however a stream is cut, its events are the same', () => {
  const line = fc.stringMatching(/^[ -~é]{0,20}$/);
  const event = fc.record({ id: fc.nat(1_000), data: fc.array(line, { minLength: 1, maxLength: 3 }) });
  fc.assert(
    fc.property(
      fc.array(event, { maxLength: 8 }),
      fc.array(fc.nat(), { maxLength: 10 }),
      fc.constantFrom('\n', '\r\n'),
      (events, cuts, end) => {
        const text = events
          .map(
            ({ id, data }) =>
              `: keep-alive\n\nid: ${id}\n${data.map((part) => `data: ${part}`).join('\n')}\n\n`,
          )
          .join('')
          .replaceAll('\n', end);
        const expected = events.map(({ id, data }) => ({ id: String(id), data: data.join('\n') }));
        assert.deepEqual(inPieces(text, cuts), expected);
      },
    ),
  );
});

test('what is not complete waits, and comments are no events, but are told', () => {
  const comments: string[] = [];
  const reader = new SseReader((text) => comments.push(text));
  assert.deepEqual(reader.push(': following\n\ndata: {"a"'), []);
  assert.deepEqual(reader.push(':1}\n'), []);
  assert.deepEqual(reader.push('\n'), [{ id: null, data: '{"a":1}' }]);
  assert.deepEqual(comments, ['following']);
});

test('an event without an end is given up', () => {
  const reader = new SseReader();
  const half = 'x'.repeat(LIMITS.dashboardEventCharacters / 2 + 1);
  reader.push(half);
  assert.throws(() => reader.push(half), RangeError);
});
