import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeLinks, speedText } from './linkText.js';
import type { LinkForm, StateForm } from './stateForm.js';

const state = (...links: LinkForm[]) => ({ nodes: { a: { name: 'desk' } }, links }) as unknown as StateForm;

const link = (from: string, to: string, more: Partial<LinkForm> = {}): LinkForm => ({
  from,
  to,
  rtt_us: 250,
  interface_kind: 'wired',
  bandwidth_bytes_per_s: 112e6,
  rdma: false,
  ...more,
});

test('R24: each link is one line with the worse of what its ends say', () => {
  const wifi = link('b', 'a', {
    rtt_us: 900,
    interface_kind: 'wifi',
    bandwidth_bytes_per_s: 20e6,
    rdma: true,
  });
  assert.equal(
    describeLinks(state(link('a', 'b'), wifi)),
    'LINK OF  AND  ROUND TRIP  SPEED      BY\ndesk     b    0.90 ms     20.0 MB/s  wifi',
  );
  const silent = link('b', 'a', { rtt_us: null, interface_kind: null, bandwidth_bytes_per_s: null });
  assert.match(describeLinks(state(silent, link('a', 'b'))) ?? '', /0\.25 ms +112 MB\/s +wired$/);
  const infiniband = [link('a', 'b', { rdma: true }), link('b', 'a', { rdma: true })];
  assert.match(describeLinks(state(...infiniband)) ?? '', /wired, RDMA$/);
});

test('links that were not measured are not shown, and of many the slowest', () => {
  assert.equal(describeLinks(state()), null);
  assert.equal(describeLinks(state(link('a', 'b', { bandwidth_bytes_per_s: null }))), null);
  const many = Array.from({ length: 14 }, (_, at) =>
    link('a', `n${at}`, { bandwidth_bytes_per_s: (at + 1) * 1e6 }),
  );
  const lines = (describeLinks(state(...many)) ?? '').split('\n');
  assert.equal(lines.length, 14);
  assert.match(lines[1] ?? '', /1\.0 MB\/s/);
  assert.match(lines[13] ?? '', /2 faster ones/);
});

test('speeds have their units', () => {
  assert.deepEqual([999, 1_500, 12.34e6, 1e9, 3.2e13].map(speedText), [
    '999 B/s',
    '1.5 kB/s',
    '12.3 MB/s',
    '1.0 GB/s',
    '32.0 TB/s',
  ]);
});
