/** Settings to copy: right, quoted, without a secret, and only for what the node speaks. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientSettings } from './clients.js';

const CHAT = 'post /v1/chat/completions';
const context = { origin: 'http://h:1', model: `it's "x"`, needsKey: true, routes: new Set([CHAT]) };

test('settings hold the address and the model, quoted, and never a key', () => {
  const settings = clientSettings(context);
  assert.ok(settings.length >= 5);
  for (const { text } of settings) assert.match(text, /http:\/\/h:1\/v1/);
  assert.match(settings[0]?.text ?? '', /it'\\''s \\"x\\"/);
  assert.match(settings[0]?.text ?? '', /Bearer YOUR_KEY/);
  assert.doesNotMatch(clientSettings({ ...context, needsKey: false })[0]?.text ?? '', /Bearer/);
});

test('what the node does not speak is not offered', () => {
  const names = (...routes: string[]) =>
    clientSettings({ ...context, routes: new Set(routes) }).map(({ name }) => name);
  assert.deepEqual(names(), []);
  assert.ok(!names(CHAT).some((name) => /Anthropic|Claude/.test(name)));
  assert.deepEqual(names('post /v1/messages'), ['Anthropic SDK (Python)', 'Claude Code']);
});
