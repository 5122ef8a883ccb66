import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ModelId } from '../shared/ids.js';
import { joinLines, nodesLine, tryLines, upLines } from './announcement.js';
import { defaultHome, type UpOptions } from './upOptions.js';

const OPTIONS = {
  name: 'desk',
  home: defaultHome(),
  worker: true,
  discovery: true,
  apiKey: [],
} as unknown as UpOptions;

const NODE = {
  apiUrl: 'http://127.0.0.1:52415',
  peerAddress: '192.168.1.5:52416',
  served: ['shoal-guide' as ModelId],
};

test('a node says where it is, and what it does not do', () => {
  const text = upLines(NODE, OPTIONS);
  assert.match(text, /API +http:\/\/127\.0\.0\.1:52415\/v1\n/);
  assert.match(text, /for nodes +192\.168\.1\.5:52416\n/);
  const silent = upLines({ ...NODE, apiUrl: null }, { ...OPTIONS, worker: false, name: 'a\u001bb' });
  assert.ok(!silent.includes('API') && !silent.includes('\u001b'));
  assert.match(silent, /runs no models/);
});

test('how another machine joins can be typed as it stands, but for the token', () => {
  assert.match(
    joinLines(NODE, OPTIONS),
    /`node bin\/shoal\.js token`[\s\S]*\n {2}node bin\/shoal\.js join TOKEN\n/,
  );
  const alone = joinLines(NODE, { ...OPTIONS, discovery: false, home: "/data/it's here" });
  assert.match(alone, /token --home '\/data\/it'\\''s here'`/);
  assert.match(alone, /\n {2}node bin\/shoal\.js join TOKEN --peer 192\.168\.1\.5:52416\n/);
});

test('a loaded model comes with commands that reach this node', () => {
  const text = tryLines(NODE, OPTIONS);
  assert.match(text, /curl http:\/\/127\.0\.0\.1:52415\/v1\/chat\/completions -H/);
  assert.match(text, /chat shoal-guide\n/);
  const other = tryLines({ ...NODE, apiUrl: 'http://127.0.0.1:40001' }, { ...OPTIONS, apiKey: ['secret'] });
  assert.match(other, /chat shoal-guide --url http:\/\/127\.0\.0\.1:40001\n/);
  assert.doesNotMatch(other, /secret/);
  assert.doesNotMatch(tryLines({ ...NODE, apiUrl: null }, OPTIONS), /curl/);
  assert.match(tryLines({ ...NODE, served: [] }, OPTIONS), /No model is served here/);
});

test('the linked nodes are named in a steady order', () => {
  assert.equal(nodesLine('desk', ['laptop', 'gpu']), 'Nodes: desk (this one), gpu, laptop\n');
  assert.match(nodesLine('desk', []), /; no other is linked/);
});
