import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, parseAddress, plainHost } from './addresses.js';

test('R54: addresses as people and discovery write them', () => {
  const cases: [string, string, number][] = [
    ['10.0.0.1:80', '10.0.0.1', 80],
    [' studio.local:1 ', 'studio.local', 1],
    ['my_host', 'my_host', 52_416],
    ['[::1]:65535', '::1', 65_535],
    ['[fe80::1%eth0]:7', 'fe80::1%eth0', 7],
    ['fe80::1%en0', 'fe80::1%en0', 52_416],
    ['::1', '::1', 52_416],
  ];
  for (const [text, host, port] of cases) {
    const address = parseAddress(text, 52_416);
    assert.deepEqual(address, { host, port });
    assert.deepEqual(parseAddress(formatAddress(address)), address);
  }
  assert.throws(() => parseAddress('host'), { code: 'invalid_request', message: /port is missing/ });
  assert.equal(plainHost('::ffff:10.0.0.1'), '10.0.0.1');
  assert.equal(plainHost('fe80::1%eth0'), 'fe80::1%eth0');
});
