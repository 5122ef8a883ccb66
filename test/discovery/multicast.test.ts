/** R54 between real hosts: processes in networks of their own find each other, and nothing but the cable connects them. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Host, Hosts, type HostsOptions, whyNoHosts } from '../support/hosts.js';
import { Lines } from '../support/lines.js';

const skip = (await whyNoHosts()) ?? false;
const PROGRAM = join(fileURLToPath(new URL('.', import.meta.url)), 'discoveryChild.js');
const PORT = 52_416;
const KEY = randomBytes(32).toString('hex');

const nameOf = ({ number }: Host) => `node${number}`;

function startNode(host: Host, key = KEY): Lines {
  const parameters = [PROGRAM, nameOf(host), key, String(PORT)];
  return new Lines(host.spawn(process.execPath, parameters, { stdio: ['pipe', 'pipe', 'inherit'] }));
}

function foundAt(other: Host, address: string): string {
  return JSON.stringify({ address, nodeId: nameOf(other) });
}

async function withHosts(options: HostsOptions, check: (network: Hosts) => Promise<void>): Promise<void> {
  const network = await Hosts.create(options);
  try {
    await check(network);
  } finally {
    await network.close();
  }
}

describe('R54 multicast between hosts', { skip }, () => {
  test('three hosts without a default route find each other over IPv4 and IPv6', { timeout: 120_000 }, () =>
    withHosts({ count: 3 }, async ({ hosts }) => {
      const nodes = new Map(hosts.map((host) => [host, startNode(host)]));
      for (const [host, lines] of nodes) {
        for (const other of hosts) {
          if (other === host) continue;
          for (const address of [`${other.ipv4}:${PORT}`, `[${other.ipv6}]:${PORT}`]) {
            const line = foundAt(other, address);
            await lines.until(`${address} at ${nameOf(host)}`, (said) => said === line);
          }
        }
        assert.ok(
          !lines.all.some((line) => line.includes(`"nodeId":"${nameOf(host)}"`)),
          'nobody finds itself',
        );
        assert.ok(!lines.all.some((line) => line.includes('notice')), lines.all.join(' '));
      }
    }),
  );

  test('two hosts on a direct cable, without any IPv4 address', { timeout: 120_000 }, () =>
    withHosts({ count: 2, layout: 'cable', ipv4: false }, async (network) => {
      const [one, two] = [network.host(1), network.host(2)];
      const [first, second] = [startNode(one), startNode(two)];
      const [atOne, atTwo] = [foundAt(two, `[${two.ipv6}]:${PORT}`), foundAt(one, `[${one.ipv6}]:${PORT}`)];
      await first.until('the other', (line) => line === atOne);
      await second.until('the other', (line) => line === atTwo);
    }),
  );

  test(
    'a cable that is plugged in late, or again, is noticed; a cut one heals by itself',
    { timeout: 180_000 },
    () =>
      withHosts({ count: 2 }, async (network) => {
        const [one, two] = [network.host(1), network.host(2)];
        await network.unplug(two);
        const [first, second] = [startNode(one), startNode(two)];
        const isTwo = (line: string) => line === foundAt(two, `${two.ipv4}:${PORT}`);
        const isOne6 = (line: string) => line === foundAt(one, `[${one.ipv6}]:${PORT}`);
        await first.until('start', (line) => line.includes('started'));
        await second.until('start', (line) => line.includes('started'));
        assert.ok(!first.all.some(isTwo));
        for (let turn = 0; turn < 2; turn += 1) {
          await network.plug(two);
          await first.until('the other', isTwo, first.all.length);
          await second.until('the other over IPv6', isOne6, second.all.length);
          await network.unplug(two);
        }
        await network.plug(two);
        await network.cut(one);
        await network.heal(one);
        await first.until('the other after the cut', isTwo, first.all.length);
      }),
  );

  test('R55 a node of another cluster on the same switch is not found', { timeout: 120_000 }, () =>
    withHosts({ count: 3 }, async (network) => {
      const [one, two, stranger] = [network.host(1), network.host(2), network.host(3)];
      const strange = startNode(stranger, randomBytes(32).toString('hex'));
      await strange.until('start', (line) => line.includes('started'));
      const [first, second] = [startNode(one), startNode(two)];
      await first.until('its own', (line) => line.includes('node2'));
      await second.until('its own', (line) => line.includes('node1'));
      // After a second turn of everybody each has heard each.
      const place = first.all.length;
      await first.until('its own again', (line) => line.includes('node2'), place + 2);
      for (const lines of [first, second]) assert.ok(!lines.all.some((line) => line.includes('node3')));
      assert.equal(strange.all.length, 1, strange.all.join(' '));
    }),
  );
});
