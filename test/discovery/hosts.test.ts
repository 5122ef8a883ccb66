/** The hosts themselves: a test that rests on them is worth what they are. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type Host, Hosts, whyNoHosts } from '../support/hosts.js';
import { ip, removeLeftovers } from '../support/hostsKernel.js';
import { createPlaces } from '../support/hostsOnLoopback.js';
import { Lines } from '../support/lines.js';
import { isAlive, NodeProcess } from '../support/nodeProcess.js';

const skip = (await whyNoHosts()) ?? false;
const program = (name: string) => join(fileURLToPath(new URL('.', import.meta.url)), name);
/** Pings come every 20 ms: so long without one is silence. */
const SILENCE_MS = 400;

/** A process in each host that pings all others. */
function startPingers({ hosts }: Hosts): Map<Host, Lines> {
  return new Map(
    hosts.map((host) => {
      const others = hosts.filter((other) => other !== host).map(({ ipv4 }) => ipv4);
      const child = host.spawn(process.execPath, [program('pingChild.js'), ...others], {
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      return [host, new Lines(child)];
    }),
  );
}

/** Everybody hears those, and nobody else. */
async function expectHeard(heard: Map<Host, Lines>, pairs: readonly string[]): Promise<void> {
  const name = ({ number }: Host, address: string) =>
    `${address.slice(address.lastIndexOf('.') + 1)}>${number}`;
  const isSame = (found: readonly string[]) => JSON.stringify(found) === JSON.stringify([...pairs].sort());
  const deadline = Date.now() + 20_000;
  for (;;) {
    const places = new Map([...heard].map(([host, lines]) => [host, lines.all.length]));
    await new Promise((resolve) => setTimeout(resolve, SILENCE_MS));
    const found = [...heard].flatMap(([host, lines]) =>
      lines.all.slice(places.get(host)).map((line) => name(host, line)),
    );
    const distinct = [...new Set(found)].sort();
    if (isSame(distinct)) return;
    if (Date.now() > deadline) assert.deepEqual(distinct, [...pairs].sort());
  }
}

const ALL = ['1>2', '1>3', '2>1', '2>3', '3>1', '3>2'];

describe('hosts on a switch', { skip }, () => {
  test('a cable is cut for one, for a pair, in one direction, for a side, or unplugged, and healed', {
    timeout: 240_000,
  }, async () => {
    const network = await Hosts.create({ count: 3 });
    try {
      const [one, two, three] = [network.host(1), network.host(2), network.host(3)];
      const heard = startPingers(network);
      await expectHeard(heard, ALL);
      await network.cut(one);
      await expectHeard(heard, ['2>3', '3>2']);
      await network.heal(one);
      await network.cutBetween(one, two);
      await expectHeard(heard, ['1>3', '3>1', '2>3', '3>2']);
      await network.healBetween(one, two);
      await network.cutOneWay(three, two);
      await network.cutDirection(one, 'sending');
      await expectHeard(heard, ['2>1', '3>1', '2>3']);
      await network.healAll();
      await network.partition([three]);
      await expectHeard(heard, ['1>2', '2>1']);
      await network.healAll();
      await expectHeard(heard, ALL);
      await network.unplug(two);
      await expectHeard(heard, ['1>3', '3>1']);
      await network.plug(two);
      await expectHeard(heard, ALL);
    } finally {
      await network.close();
    }
  });

  test('there is no way out, and a server inside is reached from the test', { timeout: 60_000 }, async () => {
    const network = await Hosts.create({ count: 1 });
    try {
      const out = `require('net').connect(80, '198.51.100.1').on('error', ({ code }) => console.log(code))`;
      const lines = new Lines(
        network.host(1).spawn(process.execPath, ['-e', out], { stdio: ['ignore', 'pipe', 'inherit'] }),
      );
      assert.equal(await lines.until('answer', () => true), 'ENETUNREACH');
      const serve = `const s = require('http').createServer((q, a) => a.end('from inside ' + q.url)); s.listen(0, '127.0.0.1', () => console.log(s.address().port))`;
      const served = new Lines(
        network.host(1).spawn(process.execPath, ['-e', serve], { stdio: ['ignore', 'pipe', 'inherit'] }),
      );
      const port = await served.until('port', () => true);
      const url = await network.host(1).reach(`http://127.0.0.1:${port}`);
      for (const path of ['/one', '/two']) {
        assert.equal(await (await fetch(url + path)).text(), `from inside ${path}`);
      }
      const closed = await network.host(1).reach('http://127.0.0.1:1');
      await assert.rejects(fetch(closed), 'a port where nobody listens refuses');
    } finally {
      await network.close();
    }
  });

  test('delay is real where the kernel can, and said to be impossible where not', {
    timeout: 60_000,
  }, async (context) => {
    const network = await Hosts.create({ count: 2 });
    try {
      const isDelayed = await network.delay(network.host(1), 50);
      const queues = await ip(
        'netns',
        'exec',
        network.host(1).namespace,
        'tc',
        'qdisc',
        'show',
        'dev',
        'eth0',
      );
      assert.equal(queues.includes('netem'), isDelayed);
      if (!isDelayed) context.diagnostic('this kernel has no netem: nothing can be delayed here');
    } finally {
      await network.close();
    }
  });

  test('nothing is left: not after the end, and not of a test that was killed', {
    timeout: 60_000,
  }, async () => {
    const child = spawn(process.execPath, [program('abandonChild.js')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const { namespace, pid } = JSON.parse(await new Lines(child).until('host', () => true)) as {
      namespace: string;
      pid: number;
    };
    removeLeftovers();
    assert.ok((await ip('netns', 'list')).includes(namespace), 'that of a living test stays');
    child.kill('SIGKILL');
    await once(child, 'exit');
    assert.ok(isAlive(pid));
    removeLeftovers();
    assert.ok(!(await ip('netns', 'list')).includes(namespace));
    const deadline = Date.now() + 5_000;
    while (isAlive(pid) && Date.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(!isAlive(pid));
  });
});

/** Also where there are no hosts: on the loopback network. */
describe('places for nodes', () => {
  for (const wish of ['hosts', 'loopback'] as const) {
    test(`a node starts there, is reached, and ends with its place (${wish})`, {
      timeout: 120_000,
    }, async () => {
      const places = await createPlaces(2, wish);
      try {
        const addresses = places.places.map(({ ipv4 }) => ipv4);
        assert.equal(new Set(addresses).size, 2);
        const [place] = places.places;
        assert.ok(place);
        const node = await NodeProcess.startAt(place);
        assert.deepEqual((await node.state()).instances, {});
        assert.equal(await node.stop(), 0);
        const abandoned = await NodeProcess.startAt(place);
        await places.close();
        assert.equal(await abandoned.exited, 'SIGKILL');
        await abandoned.stop();
      } finally {
        await places.close();
      }
    });
  }
});
