import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { pack } from 'msgpackr';
import { LIMITS } from '../../shared/limits.js';
import { decodeEndpoint, encodeEndpoint, ownAddresses, targetsOf } from './endpoint.js';

const entry = (address: string, internal = false) => ({
  address,
  netmask: '',
  mac: '00:00:00:00:00:00',
  internal,
  cidr: null,
  ...(address.includes(':') ? { family: 'IPv6' as const, scopeid: 0 } : { family: 'IPv4' as const }),
});
const INTERFACES = {
  lo: [entry('127.0.0.1', true), entry('::1', true)],
  eth0: [entry('fe80::1'), entry('10.0.0.2')],
  wlan0: [entry('2001:db8::5'), entry('fe80::2')],
};

test('an endpoint comes back as it was told', () => {
  const endpoint = { rank: 3, addresses: ['10.0.0.2', 'fe80::1'], port: 65_535 };
  assert.deepEqual(decodeEndpoint(encodeEndpoint(endpoint), 3), endpoint);
});

test('R53: blobs that are no endpoint of their rank are refused', () => {
  const good = { version: 1, rank: 0, addresses: ['10.0.0.2'], port: 4 };
  for (const bad of [
    { ...good, rank: 1 },
    { ...good, version: 2 },
    { ...good, addresses: [] },
    { ...good, addresses: ['localhost'] },
    { ...good, addresses: ['fe80::1%eth0; reboot'] },
    { ...good, addresses: '10.0.0.2' },
    { ...good, addresses: Array(LIMITS.addressesPerNode + 1).fill('10.0.0.2') },
    { ...good, port: 0 },
    { ...good, port: 65_536 },
    { ...good, port: 1.5 },
    null,
    7,
  ]) {
    assert.throws(() => decodeEndpoint(pack(bad), 0), Error);
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (blob) => {
      assert.throws(() => decodeEndpoint(blob, 0), Error);
    }),
  );
});

test('addresses of real networks are told first, the loopback last', () => {
  assert.deepEqual(ownAddresses(INTERFACES), [
    '10.0.0.2',
    '2001:db8::5',
    'fe80::1',
    'fe80::2',
    '127.0.0.1',
    '::1',
  ]);
});

test('an address of one link is tried on each interface that has such; local addresses go with their family', () => {
  const endpoint = { rank: 0, addresses: ['10.0.0.9', 'fe80::9'], port: 5 };
  assert.deepEqual(
    targetsOf(endpoint, [], INTERFACES).map(({ host }) => host),
    ['10.0.0.9', 'fe80::9%eth0', 'fe80::9%wlan0'],
  );
  assert.deepEqual(targetsOf(endpoint, ['10.0.0.2', '2001:db8::5'], { lo: INTERFACES.lo }), [
    { host: '10.0.0.9', port: 5, localAddress: '10.0.0.2' },
  ]);
  const many = { rank: 0, addresses: Array(LIMITS.addressesPerNode).fill('10.0.0.9') as string[], port: 5 };
  assert.equal(targetsOf(many, [], INTERFACES).length, LIMITS.collectivePaths);
});
