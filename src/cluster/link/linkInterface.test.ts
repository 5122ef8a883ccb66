import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { NetworkInterfaceInfo } from 'node:os';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { linkInterface } from './linkInterface.js';

const folder = mkdtempSync(join(tmpdir(), 'shoal-interfaces-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const addressed = (address: string, internal = false): NetworkInterfaceInfo[] => [
  { address, internal, family: 'IPv4', netmask: '', mac: '', cidr: null } as NetworkInterfaceInfo,
];

const interfaces = {
  lo: addressed('127.0.0.1', true),
  eth0: addressed('10.0.0.1'),
  wlan0: addressed('10.0.1.1'),
  wg0: addressed('10.0.2.1'),
  ib0: addressed('10.0.3.1'),
  ib1: addressed('10.0.4.1'),
  'Wi-Fi': addressed('10.1.0.1'),
  'vEthernet (Default Switch)': addressed('10.1.1.1'),
  Ethernet: addressed('10.1.2.1'),
  utun3: addressed('10.1.3.1'),
  en0: addressed('10.1.4.1'),
  oddity: addressed('fe80::1'),
};

/** The part of Linux's device tree that is looked at. */
function devices(): string {
  const real = (name: string, where: string) => {
    mkdirSync(join(folder, 'devices', where, name), { recursive: true });
    mkdirSync(join(folder, 'net'), { recursive: true });
    symlinkSync(join(folder, 'devices', where, name), join(folder, 'net', name));
  };
  for (const name of ['eth0', 'wlan0', 'ib0', 'ib1']) real(name, 'pci0');
  real('wg0', 'virtual');
  mkdirSync(join(folder, 'net', 'wlan0', 'wireless'));
  for (const [device, name, state] of [
    ['mlx5_0', 'ib0', '4: ACTIVE\n'],
    ['mlx5_1', 'ib1', '1: DOWN\n'],
  ] as const) {
    mkdirSync(join(folder, 'infiniband', device, 'device', 'net', name), { recursive: true });
    mkdirSync(join(folder, 'infiniband', device, 'ports', '1'), { recursive: true });
    writeFileSync(join(folder, 'infiniband', device, 'ports', '1', 'state'), state);
  }
  return folder;
}

test('R24, R40: the interface of a link tells its kind, and RDMA only where a port of it is up', () => {
  const linux = { interfaces, devices: devices() };
  const seen = (address: string) => linkInterface(address, linux);
  assert.deepEqual(seen('127.0.0.1'), { kind: 'loopback', rdma: false });
  assert.deepEqual(seen('10.0.0.1'), { kind: 'wired', rdma: false });
  assert.deepEqual(seen('::ffff:10.0.1.1'), { kind: 'wifi', rdma: false });
  assert.deepEqual(seen('10.0.2.1'), { kind: 'virtual', rdma: false });
  assert.deepEqual(seen('10.0.3.1'), { kind: 'wired', rdma: true });
  assert.deepEqual(seen('10.0.4.1'), { kind: 'wired', rdma: false });
});

test('elsewhere the name is a hint, and what is not known is not guessed', () => {
  const elsewhere = { interfaces, devices: join(folder, 'nowhere') };
  const kinds = [
    '10.1.0.1',
    '10.1.1.1',
    '10.1.2.1',
    '10.1.3.1',
    '10.1.4.1',
    'fe80::1%oddity',
    '10.9.9.9',
  ].map((address) => linkInterface(address, elsewhere).kind);
  assert.deepEqual(kinds, ['wifi', 'virtual', 'wired', 'virtual', null, null, null]);
  assert.deepEqual(linkInterface(null), { kind: null, rdma: false });
});
