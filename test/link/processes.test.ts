/** Links between processes that die, freeze and come back; and what links leave behind. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { until, Witness } from '../../src/cluster/link/testing/witness.js';
import { TlsPeerLinks } from '../../src/cluster/link/tlsPeerLinks.js';
import { NodeKey } from '../../src/cluster/nodeKey.js';

const CHILD = fileURLToPath(new URL('./linkChild.js', import.meta.url));
const CLUSTER_KEY = randomBytes(32);
const LIMIT = { timeout: 90_000 };
const NEVER = new AbortController().signal;

async function startHere(
  context: TestContext,
): Promise<{ readonly links: TlsPeerLinks; readonly witness: Witness }> {
  const key = NodeKey.make();
  const links = await TlsPeerLinks.start(
    {
      identity: { nodeId: key.nodeId, key, incarnation: 1 },
      clusterKey: CLUSTER_KEY,
      onNotice: () => undefined,
    },
    { name: 'here', host: '127.0.0.1', port: 0 },
  );
  context.after(() => links.close());
  return { links, witness: new Witness(links) };
}

async function startChild(
  context: TestContext,
  key: NodeKey,
  incarnation: number,
  port = 0,
): Promise<{ readonly child: ChildProcess; readonly port: number }> {
  const parameters = [CHILD, key.export(), CLUSTER_KEY.toString('hex'), String(incarnation), String(port)];
  const child = spawn(process.execPath, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
  context.after(() => child.kill('SIGKILL'));
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  return { child, port: Number(line) };
}

test(
  'R54: the death of a process closes its link at once; when it comes back it is linked again',
  LIMIT,
  async (context) => {
    const { links, witness } = await startHere(context);
    const key = NodeKey.make();
    let { child, port } = await startChild(context, key, 1);
    links.dial(`127.0.0.1:${port}`, { keep: true });
    for (let life = 1; life <= 4; life += 1) {
      await until('it is linked', () => links.peers.get(key.nodeId)?.incarnation === life);
      const stream = await links.openStream(key.nodeId, 'echo', {}, NEVER);
      const broken = once(stream, 'error');
      child.kill('SIGKILL');
      const [error] = (await broken) as [{ code: string }];
      assert.equal(error.code, 'node_lost');
      assert.equal(witness.closings.length, life);
      assert.equal(links.peers.size, 0);
      ({ child, port } = await startChild(context, key, life + 1, port));
    }
  },
);

test('a frozen process loses its link, and has one again when it goes on', LIMIT, async (context) => {
  const { links, witness } = await startHere(context);
  const key = NodeKey.make();
  const { child, port } = await startChild(context, key, 1);
  links.dial(`127.0.0.1:${port}`, { keep: true });
  await until('it is linked', () => links.peers.has(key.nodeId));
  child.kill('SIGSTOP');
  await until('the link closes', () => witness.closings.length === 1);
  assert.match(witness.closings[0]!.reason, /no sign of life/);
  child.kill('SIGCONT');
  await until('it is linked again', () => links.peers.has(key.nodeId));
  links.send(key.nodeId, 'are you there?');
  await until('it answers', () => witness.messages.length === 1);
});

test(
  'R54: nodes that dial each other crosswise, again and again, always end with one live link',
  LIMIT,
  async (context) => {
    const rounds = 100;
    const nodes = [await startHere(context), await startHere(context), await startHere(context)];
    for (let round = 0; round < rounds; round += 1) {
      for (const from of nodes) {
        for (const to of nodes) if (from !== to) from.links.dial(`127.0.0.1:${to.links.port}`);
      }
      await until('all are linked', () => nodes.every(({ links }) => links.peers.size === 2));
      for (const { links, witness } of nodes) {
        witness.messages.length = 0;
        for (const nodeId of links.peers.keys()) links.send(nodeId, round);
      }
      const isThrough = ({ messages }: Witness) =>
        messages.filter(({ message }) => message === round).length === 2;
      await until('the messages are through', () => nodes.every(({ witness }) => isThrough(witness)));
      for (const { witness } of nodes) assert.equal(witness.openings.length - witness.closings.length, 2);
      // One of them, each in its turn, makes way for a new one on the same port.
      const index = round % nodes.length;
      await nodes[index]!.links.close();
      nodes[index] = await startHere(context);
      await until('the others know', () => nodes.every(({ links }) => links.peers.size <= 1));
    }
  },
);

test('1,000 links, opened and closed, leave neither handles nor addresses', LIMIT, async (context) => {
  const { links, witness } = await startHere(context);
  const key = NodeKey.make();
  const open = async () => {
    const other = await TlsPeerLinks.start(
      {
        identity: { nodeId: key.nodeId, key, incarnation: 1 },
        clusterKey: CLUSTER_KEY,
        onNotice: () => undefined,
      },
      { name: 'other', host: '127.0.0.1', port: 0 },
    );
    other.dial(`127.0.0.1:${links.port}`);
    await until('they are linked', () => other.peers.size === 1 && links.peers.size === 1);
    await other.close();
    await until('the other end knows', () => links.peers.size === 0);
  };
  await open();
  const before = handles();
  for (let number = 0; number < 1_000; number += 1) await open();
  assert.equal(witness.closings.length, 1_001);
  await until('no arrival is left', () => links.arrivalCount === 0);
  // Pauses before addresses of the gone are dialled again are bounded by their number.
  await until('handles are as before', () => handles() <= before + 2);
});

/** Sockets and servers that are open in this process. */
function handles(): number {
  return process.getActiveResourcesInfo().filter((kind) => /TCP|TLS|Pipe/.test(kind)).length;
}
