/** R54: the ways to find nodes, each against the same contract, and what is special about each. */
import assert from 'node:assert/strict';
import { randomBytes, randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { describe, test } from 'node:test';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import type { OnNotice } from '../link/notices.js';
import { SimulatedDisk } from '../store/testing/simulatedDisk.js';
import { formatAddress } from './contract.js';
import type { AnnouncedAddress } from './interfaces.js';
import { type MulticastComponents, MulticastDiscovery } from './multicastDiscovery.js';
import { RememberedPeers } from './rememberedPeers.js';
import { StaticPeers } from './staticPeers.js';
import { testDiscoveryCompliance, until } from './testing/discoveryCompliance.js';

const silent = () => undefined;
const LOOPBACK: AnnouncedAddress = { family: 4, address: '127.0.0.1', interfaceName: 'lo', key: 'loopback' };
const HOUR_MS = 3_600_000;

/** Nodes of one test hear each other and nobody else: the port is drawn. */
class Network {
  readonly groupPort = randomInt(20_000, 32_000);
  readonly key = randomBytes(32);
  readonly #nodes: MulticastDiscovery[] = [];

  node(name: string, more: Partial<MulticastComponents> = {}): MulticastDiscovery {
    const node = new MulticastDiscovery(
      {
        nodeId: name as NodeId,
        clusterKey: this.key,
        onNotice: silent,
        addresses: () => [LOOPBACK],
        ...more,
      },
      { linkPort: 50_000 + this.#nodes.length, groupPort: this.groupPort },
    );
    this.#nodes.push(node);
    return node;
  }

  async end(): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.close()));
  }
}

const collectNotices =
  (notices: string[]): OnNotice =>
  (_level, message) =>
    void notices.push(message);

testDiscoveryCompliance('multicast', async () => {
  const network = new Network();
  await network.node('other').start(silent);
  return {
    discovery: network.node('one'),
    expectedAddress: /^127\.0\.0\.1:50000$/,
    end: () => network.end(),
  };
});

testDiscoveryCompliance('a list of addresses', async () => ({
  discovery: new StaticPeers(['studio:52416', '[fe80::1%eth0]:1'], { intervalMs: 5 }),
  expectedAddress: /^studio:52416$/,
  end: () => Promise.resolve(),
}));

testDiscoveryCompliance('the memory of earlier runs', async () => {
  const files = new SimulatedDisk();
  files.put('peers.json', Buffer.from('{"peers":[{"node_id":"a","addresses":["10.0.0.1:1"]}]}'));
  const discovery = new RememberedPeers({ files, onNotice: silent }, { intervalMs: 5 });
  return { discovery, expectedAddress: /^10\.0\.0\.1:1$/, end: () => Promise.resolve() };
});

describe('multicast', () => {
  test('R54 a newcomer is answered by all at once, not in their next turn', {
    timeout: 60_000,
  }, async (context) => {
    const network = new Network();
    context.after(() => network.end());
    const heardByOthers = new Map<string, number>();
    const others = ['b', 'c', 'd', 'e'];
    for (const name of others) {
      const note = (_address: string, nodeId: string | null) => {
        heardByOthers.set(`${name} ${nodeId}`, (heardByOthers.get(`${name} ${nodeId}`) ?? 0) + 1);
      };
      await network.node(name).start(note);
    }
    await until('all known to each other', () => heardByOthers.size === others.length * (others.length - 1));
    const found = new Map<string | null, string>();
    const newcomer = network.node('a');
    await newcomer.start((address, nodeId) => void found.set(nodeId, address));
    await until('all found', () => found.size === others.length);
    assert.deepEqual(
      [...found.values()].sort(),
      [0, 1, 2, 3].map((place) => `127.0.0.1:${50_000 + place}`),
    );
    assert.ok(others.every((name) => heardByOthers.has(`${name} a`)));
  });

  test('R55 clusters on one network never mix, and say nothing of each other', {
    timeout: 60_000,
  }, async (context) => {
    const network = new Network();
    context.after(() => network.end());
    const notices: string[] = [];
    const found: (string | null)[] = [];
    const note = (_address: string, nodeId: string | null) => void found.push(nodeId);
    const stranger = { clusterKey: randomBytes(32), onNotice: collectNotices(notices) };
    const [one, other] = [
      network.node('a', { onNotice: collectNotices(notices) }),
      network.node('x', stranger),
    ];
    await one.start(note);
    await other.start(note);
    await until('both heard', () => one.counts.other_cluster > 1 && other.counts.other_cluster > 1);
    assert.deepEqual(found, []);
    assert.deepEqual(notices, []);
  });

  test('two nodes whose clocks are hours apart find each other and say so', {
    timeout: 60_000,
  }, async (context) => {
    const network = new Network();
    context.after(() => network.end());
    const notices: string[] = [];
    const found = new Set<string | null>();
    const onNotice = collectNotices(notices);
    const note = (_address: string, nodeId: string | null) => void found.add(nodeId);
    await network.node('late', { onNotice, now: () => Date.now() - 5 * HOUR_MS }).start(note);
    await network.node('right', { onNotice }).start(note);
    await until('both found', () => found.size === 2);
    assert.equal(notices.filter((notice) => /is 5\.0 h (behind|ahead of) ours/.test(notice)).length, 2);
  });

  test('a recorded announcement is worth nothing, to those who heard it and to those who did not', {
    timeout: 60_000,
  }, async (context) => {
    const network = new Network();
    context.after(() => network.end());
    const recorded: Buffer[] = [];
    const recorder = createSocket({ type: 'udp4', reuseAddr: true });
    context.after(() => recorder.close());
    recorder.on('message', (packet) => void recorded.push(packet));
    await new Promise<void>((resolve) => recorder.bind(network.groupPort, resolve));
    recorder.addMembership('239.255.82.79', '127.0.0.1');
    recorder.setMulticastInterface('127.0.0.1');

    const witness = network.node('witness');
    await witness.start(silent);
    const victim = network.node('victim');
    await victim.start(silent);
    await until('heard', () => witness.counts.found > 0);
    await victim.close();
    const before = witness.counts;
    // Not heard by it, and hours later: as if a recording from another day were played.
    const foundByNewcomer: (string | null)[] = [];
    const newcomer = network.node('newcomer', { now: () => Date.now() + 5 * HOUR_MS });
    await newcomer.start((_address, nodeId) => void foundByNewcomer.push(nodeId));
    for (const packet of recorded.splice(0)) recorder.send(packet, network.groupPort, '239.255.82.79');
    await until('judged', () => witness.counts.repeated > before.repeated && newcomer.counts.doubtful > 0);
    await until('the honest one found', () => foundByNewcomer.includes('witness'));
    assert.ok(!foundByNewcomer.includes('victim'));
  });

  test('rubbish, forgeries and floods are dropped and counted; an honest node is heard afterwards', {
    timeout: 60_000,
  }, async (context) => {
    const network = new Network();
    context.after(() => network.end());
    const found: (string | null)[] = [];
    const node = network.node('a');
    await node.start((_address, nodeId) => {
      found.push(nodeId);
      throw new Error('a listener with a bug');
    });
    const attacker = createSocket('udp4');
    context.after(() => attacker.close());
    await new Promise<void>((resolve) => attacker.bind(0, '127.0.0.2', resolve));
    const sent = 3 * LIMITS.announcementsPerSourcePerSecond;
    for (let turn = 0; turn < sent; turn += 1) {
      attacker.send(randomBytes(randomInt(0, 2_000)), network.groupPort, '127.0.0.1');
      if (turn % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until('past the limit', () => node.counts.over_limit > 0 && node.counts.malformed > 0);
    await network.node('honest').start(silent);
    await until('heard', () => found.length > 1);
    assert.deepEqual(new Set(found), new Set(['honest']));
  });

  test('R54 an interface that refuses does not stop the others, and is told', {
    timeout: 60_000,
  }, async (context) => {
    const network = new Network();
    context.after(() => network.end());
    const notices: string[] = [];
    const missing: AnnouncedAddress = { family: 4, address: '203.0.113.1', interfaceName: 'no0', key: 'no' };
    const missing6: AnnouncedAddress = {
      family: 6,
      address: 'fe80::1%no0',
      interfaceName: 'no0',
      key: 'no6',
    };
    const found: string[] = [];
    const addresses = () => [missing, missing6, LOOPBACK];
    const onNotice = collectNotices(notices);
    await network.node('a', { addresses, onNotice }).start((address) => void found.push(address));
    await network.node('b').start(silent);
    await until('found', () => found.length > 0);
    await until('told', () => notices.some((notice) => notice.includes('203.0.113.1')));
    const failing = () => {
      throw new Error('no interfaces today');
    };
    await network.node('c', { addresses: failing, onNotice }).start(silent);
    assert.match(notices.join(), /no interfaces today/);
  });
});

describe('the memory of earlier runs', () => {
  const remembered = (files: SimulatedDisk, notices: string[] = []) =>
    new RememberedPeers({ files, onNotice: collectNotices(notices) }, { intervalMs: 5 });

  test('R54 it survives a restart, the newest first, bounded, without those who were forgotten', async () => {
    const files = new SimulatedDisk();
    const peers = remembered(files);
    await peers.start(silent);
    for (let node = 0; node < LIMITS.rememberedNodes + 5; node += 1) {
      for (let turn = 0; turn < 6; turn += 1)
        peers.remember(`node${node}` as NodeId, formatAddress('::1', turn + 1));
    }
    peers.forget('node100' as NodeId);
    await peers.close();
    files.restart(() => 0);
    const again = remembered(files);
    const found: string[] = [];
    await again.start((_address, nodeId) => void found.push(nodeId ?? ''));
    assert.equal(again.peers.size, LIMITS.rememberedNodes - 1);
    assert.equal(found[0], `node${LIMITS.rememberedNodes + 4}`);
    assert.ok(!found.includes('node100') && !found.includes('node4') && found.includes('node5'));
    assert.deepEqual(again.peers.get('node5' as NodeId), ['[::1]:6', '[::1]:5', '[::1]:4', '[::1]:3']);
    await again.close();
  });

  test('a full disk and a damaged file are told; what could not be written is written later', async () => {
    const files = new SimulatedDisk();
    files.put('peers.json', Buffer.from('{"peers":[{"node'));
    const notices: string[] = [];
    const peers = remembered(files, notices);
    peers.remember('early' as NodeId, 'a:1');
    await peers.start(silent);
    assert.match(notices.join(), /cannot be read/);
    files.failNext(50);
    peers.remember('a' as NodeId, 'b:2');
    await until('told', () => notices.some((notice) => notice.includes('ENOSPC')));
    await until('written', () => files.contents().get('peers.json')?.includes('b:2') === true);
    await peers.close();
    const again = remembered(files);
    await again.start(silent);
    assert.deepEqual([...again.peers.keys()], ['a', 'early']);
    await again.close();
  });
});
