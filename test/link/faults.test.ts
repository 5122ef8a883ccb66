/** What strangers, liars and broken nodes do to the links of a node, over real TLS on loopback. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type TestContext, test } from 'node:test';
import { pack } from 'msgpackr';
import { RawMember } from '../../src/cluster/link/testing/rawMember.js';
import { until, Witness } from '../../src/cluster/link/testing/witness.js';
import { TlsPeerLinks } from '../../src/cluster/link/tlsPeerLinks.js';
import { encodeHeader, FRAME } from '../../src/cluster/link/wire.js';
import { NodeKey } from '../../src/cluster/nodeKey.js';
import type { NodeId } from '../../src/shared/ids.js';
import { LIMITS } from '../../src/shared/limits.js';

interface Notice {
  readonly level: string;
  readonly message: string;
}

interface Node {
  readonly links: TlsPeerLinks;
  readonly nodeId: NodeId;
  readonly address: string;
  readonly witness: Witness;
  readonly notices: Notice[];
}

interface Changes {
  readonly key?: NodeKey;
  readonly incarnation?: number;
  readonly clusterKey?: Buffer;
  readonly clockAheadMs?: number;
  readonly port?: number;
  readonly name?: string;
}

const CLUSTER_KEY = randomBytes(32);
const LIMIT = { timeout: 60_000 };
/** An id that is smaller, or larger, than nearly all: who decides is fixed in these tests. */
const [LOW_KEY, HIGH_KEY] = extremeKeys();

function extremeKeys(): [NodeKey, NodeKey] {
  const keys = Array.from({ length: 40 }, () => NodeKey.make());
  keys.sort((left, right) => (left.nodeId < right.nodeId ? -1 : 1));
  return [keys[0]!, keys.at(-1)!];
}

async function start(context: TestContext, changes: Changes = {}): Promise<Node> {
  const {
    key = NodeKey.make(),
    incarnation = 1,
    clusterKey = CLUSTER_KEY,
    clockAheadMs = 0,
    port = 0,
  } = changes;
  const notices: Notice[] = [];
  const links = await TlsPeerLinks.start(
    {
      identity: { nodeId: key.nodeId, key, incarnation },
      clusterKey,
      onNotice: (level, message) => notices.push({ level, message }),
      now: () => Date.now() + clockAheadMs,
    },
    { name: changes.name ?? 'node', host: '127.0.0.1', port },
  );
  context.after(() => links.close());
  const address = `127.0.0.1:${links.port}`;
  return { links, nodeId: key.nodeId, address, witness: new Witness(links), notices };
}

const heard = ({ notices }: Node, words: RegExp) =>
  until(`a notice like ${words}`, () => notices.some(({ message }) => words.test(message)));

const linkedTo = (node: Node, nodeId: NodeId) => until('a link', () => node.links.peers.has(nodeId));

async function member(context: TestContext, { address }: Node): Promise<RawMember> {
  const raw = await RawMember.connect(address, CLUSTER_KEY);
  context.after(() => raw.socket.destroy());
  return raw;
}

/** A raw member with an open link; the node decides. */
async function linkedMember(context: TestContext): Promise<readonly [Node, RawMember]> {
  const node = await start(context, { key: LOW_KEY });
  const raw = await member(context, node);
  await raw.link(HIGH_KEY);
  await linkedTo(node, HIGH_KEY.nodeId);
  return [node, raw];
}

test(
  'R55: nodes of two clusters do not link, and both are told that their tokens differ',
  LIMIT,
  async (context) => {
    const [first, second] = [await start(context), await start(context, { clusterKey: randomBytes(32) })];
    first.links.dial(second.address, { keep: true });
    await heard(first, /the node at 127\.0\.0\.1:\d+ is of another cluster.*shoal join TOKEN/);
    await heard(second, /a node came from 127\.0\.0\.1 that is of another cluster.*shoal join TOKEN/);
    first.links.dial(second.address);
    await until('it is dialled again', () => second.links.arrivalCount === 0);
    assert.equal(first.links.peers.size + second.links.peers.size, 0);
    assert.equal(first.notices.filter(({ level }) => level === 'warn').length, 1);
  },
);

test(
  'R12: garbage, a plain HTTP request and silence on the port do no harm, and are cut',
  LIMIT,
  async (context) => {
    const [node, other] = [await start(context), await start(context)];
    const open = async () => {
      const socket = connect(node.links.port, '127.0.0.1');
      context.after(() => socket.destroy());
      socket.on('error', () => undefined);
      const closed = new Promise((resolve) => socket.once('close', resolve));
      await once(socket, 'connect');
      return { socket: socket.resume(), closed };
    };
    for (const bytes of [
      randomBytes(10_000),
      Buffer.from('GET / HTTP/1.1\r\nhost: x\r\n\r\n'),
      Buffer.alloc(3),
    ]) {
      const { socket, closed } = await open();
      socket.end(bytes);
      await closed;
    }
    const [silent, slow] = [await open(), await open()];
    const trickle = setInterval(() => slow.socket.write(Buffer.from([0x16])), 500);
    context.after(() => clearInterval(trickle));
    const flood = await Promise.all(Array.from({ length: LIMITS.linkHandshakesPerAddress + 20 }, open));
    await until(
      'those over the bound are cut',
      () => flood.filter(({ socket }) => socket.closed).length >= 20,
    );
    assert.ok(node.links.arrivalCount <= LIMITS.linkHandshakesPerAddress);
    // Meanwhile this node can dial.
    node.links.dial(other.address);
    await linkedTo(node, other.nodeId);
    await Promise.all([silent.closed, slow.closed, ...flood.map(({ closed }) => closed)]);
    await until('no arrival is left', () => node.links.arrivalCount === 0);
  },
);

test(
  'R55: a hello of another connection, and one for another node, prove nothing',
  LIMIT,
  async (context) => {
    const node = await start(context);
    const victim = NodeKey.make();
    const first = await member(context, node);
    const replayed = first.hello(victim);
    const attacker = NodeKey.make();
    const cases: [string, (raw: RawMember) => Buffer][] = [
      ['a replayed hello', () => replayed],
      ['the id of another with an own key', (raw) => raw.hello(attacker, { nodeId: victim.nodeId })],
      ['the signature of another connection', (raw) => raw.hello(victim, {}, Buffer.alloc(32))],
      ['the hello of the node itself', () => first.frames.find(({ type }) => type === FRAME.hello)!.payload],
    ];
    await until('the node has said who it is', () => first.frames.length > 0);
    for (const [what, hello] of cases) {
      const raw = await member(context, node);
      raw.send(FRAME.hello, hello(raw));
      await raw.closed;
      assert.equal(raw.farewell?.code, 'identity', what);
    }
    assert.equal(node.links.peers.size, 0);
    await heard(node, /no link with the node at/);
  },
);

test('a member that says something else than a hello is refused with the reason', LIMIT, async (context) => {
  const node = await start(context);
  const cases: [Buffer, string][] = [
    [Buffer.concat([encodeHeader(FRAME.hello, 0, LIMITS.linkHelloBytes + 1), Buffer.alloc(100)]), 'garbage'],
    [Buffer.concat([encodeHeader(FRAME.ping, 0, 4), Buffer.alloc(4)]), 'garbage'],
    [Buffer.from('neither frame nor hello'), 'garbage'],
    [Buffer.concat([encodeHeader(FRAME.hello, 0, 3), Buffer.from([0xc1, 0xc1, 0xc1])]), 'identity'],
  ];
  for (const [bytes, code] of cases) {
    const raw = await member(context, node);
    raw.socket.write(bytes);
    await raw.closed;
    assert.equal(raw.farewell?.code, code);
  }
  assert.equal(node.links.peers.size, 0);
});

test(
  'a node of another version is told apart, and both ends know which one is older',
  LIMIT,
  async (context) => {
    for (const [version, older] of [
      [0, /update Shoal on the machine at 127/],
      [2, /version 2 .* this one version 1: update Shoal on this machine/],
    ] as const) {
      const node = await start(context);
      const raw = await member(context, node);
      raw.send(FRAME.hello, pack({ version, something: 'unknown' }));
      await raw.closed;
      assert.equal(raw.farewell?.code, 'version');
      await heard(node, older);
      // The hello of this node came too, so that the other can say the same.
      assert.equal(raw.frames[0]?.type, FRAME.hello);
    }
  },
);

test(
  'clocks that differ by more than five minutes are worth a warning at both ends, and a link',
  LIMIT,
  async (context) => {
    const [first, second] = [await start(context), await start(context, { clockAheadMs: 3_600_000 })];
    first.links.dial(second.address);
    await linkedTo(first, second.nodeId);
    await heard(first, /the clock of node "node" is 60 minutes ahead of/);
    await heard(second, /the clock of node "node" is 60 minutes behind/);
  },
);

test(
  'R35: a copied home is told to everybody who meets it, and the first stays linked',
  LIMIT,
  async (context) => {
    const key = NodeKey.make();
    const [other, first, copy] = [
      await start(context),
      await start(context, { key }),
      await start(context, { key }),
    ];
    first.links.dial(other.address);
    await linkedTo(other, key.nodeId);
    copy.links.dial(other.address);
    await heard(other, /two processes run with the same identity/);
    await heard(copy, /two processes run with the same identity.*node\.json/);
    assert.equal(other.witness.openings.length, 1);
    copy.links.dial(first.address);
    await heard(first, /two processes run with the same identity/);
    assert.equal(first.links.peers.size, 1);
    assert.equal(copy.links.peers.size, 0);
    // A copy that was started once more is taken for the newer life; the older process hears why it lost its link.
    const newer = await start(context, { key, incarnation: 2 });
    newer.links.dial(other.address);
    await until('the newer life is linked', () => other.links.peers.get(key.nodeId)?.incarnation === 2);
    await until('the older has lost it', () => first.links.peers.size === 0);
  },
);

test('R12: frames that no honest end sends close the link with the reason', LIMIT, async (context) => {
  const data = (bytes: number) =>
    Buffer.concat([encodeHeader(FRAME.streamData, 1, bytes), Buffer.alloc(bytes)]);
  const open = (streamId: number, head: unknown) => {
    const payload = pack(head);
    return Buffer.concat([encodeHeader(FRAME.streamOpen, streamId, payload.length), payload]);
  };
  const cases: [string, Buffer][] = [
    ['oversized', encodeHeader(FRAME.control, 0, LIMITS.linkFrameBytes + 1)],
    ['of no known type', Buffer.alloc(64, 0xee)],
    ['a hello', encodeHeader(FRAME.hello, 0, 0)],
    [
      'no MessagePack',
      Buffer.concat([encodeHeader(FRAME.control, 0, 6), Buffer.from([2, 0, 0, 0, 0xc1, 0xc1])]),
    ],
    ['an endless message', Buffer.concat([encodeHeader(FRAME.control, 0, 4), Buffer.alloc(4, 0xff)])],
    [
      'past the window',
      Buffer.concat([open(1, { kind: 'test', head: {} }), data(30_000), data(30_000), data(30_000)]),
    ],
    ['a stream of the wrong end', open(2, { kind: 'test', head: {} })],
    [
      'a stream twice',
      Buffer.concat([open(1, { kind: 'test', head: {} }), open(1, { kind: 'test', head: {} })]),
    ],
    ['a stream without a head', open(1, { kind: 'test', head: 7 })],
    ['a window without bound', Buffer.concat([open(1, { kind: 'test', head: {} }), ...windows(2)])],
  ];
  for (const [what, bytes] of cases) {
    const [node, raw] = await linkedMember(context);
    node.links.serveStreams('test', () => undefined);
    raw.socket.write(bytes);
    await raw.closed;
    assert.equal(raw.farewell?.code, 'garbage', what);
    assert.equal(node.links.peers.size, 0);
    assert.equal(node.witness.closings.length, 1);
    await heard(node, /closed:/);
    await node.links.close();
  }
});

function windows(count: number): Buffer[] {
  const payload = Buffer.alloc(4, 0xff);
  return Array.from({ length: count }, () =>
    Buffer.concat([encodeHeader(FRAME.streamWindow, 1, 4), payload]),
  );
}

test('a listener that throws ends one link, not the node', LIMIT, async (context) => {
  const [first, second] = [await start(context), await start(context)];
  second.links.listen({
    opened: () => undefined,
    closed: () => undefined,
    received: () => {
      throw new TypeError('a bug');
    },
  });
  first.links.dial(second.address);
  await linkedTo(first, second.nodeId);
  first.links.send(second.nodeId, 'x');
  await until('the link closes', () => first.witness.closings.length === 1);
  await heard(second, /a bug in Shoal/);
  await until('they link again', () => first.witness.openings.length === 2);
});

test(
  'a node that does not read loses its link at a bound; one that answers nothing, after five probes',
  LIMIT,
  async (context) => {
    const [node, raw] = await linkedMember(context);
    raw.socket.pause();
    const message = Buffer.alloc(1024 * 1024);
    let sentBytes = 0;
    while (node.links.peers.size > 0) {
      node.links.send(HIGH_KEY.nodeId, message);
      sentBytes += message.length;
      assert.ok(sentBytes < 2 * LIMITS.linkControlBufferBytes);
      await new Promise(setImmediate);
    }
    assert.match(node.witness.closings[0]!.reason, /were not read/);
    const [other, mute] = await linkedMember(context);
    await mute.closed;
    assert.match(other.witness.closings[0]!.reason, /no sign of life for 5 s/);
  },
);

test('closing does not wait for strangers, and cuts what is no link yet', LIMIT, async (context) => {
  const node = await start(context);
  const raw = await member(context, node);
  const stranger = connect(node.links.port, '127.0.0.1').on('error', () => undefined);
  context.after(() => stranger.destroy());
  await until('both have arrived', () => node.links.arrivalCount === 2);
  const cut = Promise.all([raw.closed, once(stranger.resume(), 'close')]);
  await node.links.close();
  await cut;
  assert.equal(node.links.arrivalCount, 0);
});

test('a name is one line, whatever its owner wrote', LIMIT, async (context) => {
  const node = await start(context);
  const raw = await member(context, node);
  raw.send(FRAME.hello, raw.hello(NodeKey.make(), { name: 'a\nb' }));
  await raw.closed;
  assert.equal(raw.farewell?.code, 'identity');
  const odd = await start(context, { name: 'two\nlines' });
  odd.links.dial(node.address);
  await linkedTo(node, odd.nodeId);
  assert.equal(node.links.peers.get(odd.nodeId)?.name, 'two lines');
});

test(
  'a port that is taken and a foreign address are coded errors with what to do',
  LIMIT,
  async (context) => {
    const { links } = await start(context);
    await assert.rejects(start(context, { port: links.port }), { code: 'not_ready', message: /--peer-port/ });
    const key = NodeKey.make();
    const components = {
      identity: { nodeId: key.nodeId, key, incarnation: 1 },
      clusterKey: CLUSTER_KEY,
      onNotice: () => undefined,
    };
    const foreign = TlsPeerLinks.start(components, { name: 'node', host: '203.0.113.1', port: 0 });
    await assert.rejects(foreign, { code: 'not_ready', message: /--peer-host/ });
  },
);

test(
  'R54: without a host it listens on IPv4 and IPv6, and a name is dialled as well',
  LIMIT,
  async (context) => {
    const key = NodeKey.make();
    const components = {
      identity: { nodeId: key.nodeId, key, incarnation: 1 },
      clusterKey: CLUSTER_KEY,
      onNotice: () => undefined,
    };
    const links = await TlsPeerLinks.start(components, { name: 'node', port: 0 });
    context.after(() => links.close());
    for (const host of ['127.0.0.1', '[::1]', 'localhost']) {
      const node = await start(context);
      node.links.dial(`${host}:${links.port}`);
      await linkedTo(node, key.nodeId);
    }
  },
);

for (const [who, cutsFirst] of [
  ['the one that decides', true],
  ['the other one', false],
] as const) {
  test(
    `R24, R81: two nodes that ${who} drops are not linked, whoever dials, until it takes all again`,
    LIMIT,
    async (context) => {
      const low = await start(context, { key: LOW_KEY });
      const high = await start(context, { key: HIGH_KEY });
      const [cutter, other] = cutsFirst ? [low, high] : [high, low];
      const apart = () => [low, high].every(({ links }) => links.peers.size === 0);
      low.links.dial(high.address, { keep: true });
      high.links.dial(low.address, { keep: true });
      await until('they are linked', () => low.links.peers.size + high.links.peers.size === 2);
      cutter.links.drop(other.nodeId);
      await until('both know that they are apart', apart);
      const openings = () => low.witness.openings.length + high.witness.openings.length;
      const before = openings();
      const refused = () => cutter.notices.filter(({ message }) => /keeps the two nodes apart/.test(message));
      await until('it was dialled in vain', () => refused().length > 2);
      assert.ok(apart());
      assert.equal(openings(), before);
      cutter.links.takeAll();
      await until('they are linked again', () => low.links.peers.size + high.links.peers.size === 2);
    },
  );
}
