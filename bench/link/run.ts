/**
 * What a link between two nodes costs: round trips of control messages and streams, the opening of a stream, bulk, and
 * one message to eight nodes. Each node is a process of its own on loopback. `node dist/bench/link/run.js`.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { TlsPeerLinks } from '../../src/cluster/link/tlsPeerLinks.js';
import { dialTls, linkSecret } from '../../src/cluster/link/tlsTransport.js';
import { NodeKey } from '../../src/cluster/nodeKey.js';
import type { NodeId } from '../../src/shared/ids.js';
import { LIMITS } from '../../src/shared/limits.js';

const BARE = fileURLToPath(new URL('./bareTls.js', import.meta.url));
const CHILD = fileURLToPath(new URL('../../test/link/linkChild.js', import.meta.url));
const ROUNDS = 3_000;
const OPENINGS = 1_000;
const BULK_BYTES = 256 * 1024 * 1024;
const NEVER = new AbortController().signal;
const clusterKey = randomBytes(32);
const children: ChildProcess[] = [];
const key = NodeKey.make();
const links = await TlsPeerLinks.start(
  { identity: { nodeId: key.nodeId, key, incarnation: 1 }, clusterKey, onNotice: () => undefined },
  { name: 'bench', host: '127.0.0.1', port: 0 },
);
let received: (from: NodeId) => void = () => undefined;
links.listen({ opened: () => undefined, closed: () => undefined, received: (from) => received(from) });

try {
  const first = await startPeer();
  console.log('| between two processes | p50 µs | p99 µs |\n|---|---|---|');
  for (const sizeBytes of [64, 4_096, 65_536]) {
    const times = await measure(ROUNDS, () => echo(first, sizeBytes));
    print(`control message of ${sizeBytes} B and its echo`, times);
  }
  const bursts = new AbortController();
  const bursting = sendBursts(first, bursts.signal);
  print(
    'the same of 64 B while bursts of 4 MiB go the same way, without a pause',
    await measure(ROUNDS / 3, () => echo(first, 64)),
  );
  bursts.abort();
  await bursting;
  const stream = await links.openStream(first, 'echo', {}, NEVER);
  print(
    'open stream, 64 B and their echo',
    await measure(ROUNDS, async () => {
      stream.write(randomBytes(64));
      await once(stream, 'data');
    }),
  );
  stream.destroy();
  print(
    'a stream opened, and closed again',
    await measure(OPENINGS, async () => (await links.openStream(first, 'echo', {}, NEVER)).destroy()),
  );
  const bare = await startBare(0);
  print(
    'bare TLS, 64 B and their echo',
    await measure(ROUNDS, async () => {
      bare.write(randomBytes(64));
      await once(bare, 'data');
    }),
  );
  bare.destroy();
  console.log('\n| bulk, one way, MB/s | bare TLS | a stream | ratio |\n|---|---|---|---|');
  for (let round = 1; round <= 3; round += 1) {
    const alone = await bulk(await startBare(BULK_BYTES));
    const asStream = await bulk(await links.openStream(first, 'swallow', {}, NEVER));
    console.log(
      `| round ${round} | ${alone.toFixed(0)} | ${asStream.toFixed(0)} | ${(asStream / alone).toFixed(2)} |`,
    );
  }
  console.log('');
  const peers = [first];
  while (peers.length < 8) peers.push(await startPeer());
  console.log('| fan-out | p50 µs | p99 µs |\n|---|---|---|');
  for (const count of [1, 2, 4, 8]) {
    print(
      `one message to ${count}, all echoes back`,
      await measure(1_000, () => fanOut(peers.slice(0, count))),
    );
  }
} finally {
  await links.close();
  for (const child of children) child.kill('SIGKILL');
}

async function startPeer(): Promise<NodeId> {
  const peer = NodeKey.make();
  const parameters = [CHILD, peer.export(), clusterKey.toString('hex'), '1', '0', `127.0.0.1:${links.port}`];
  const child = spawn(process.execPath, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  await once(child.stdout!, 'data');
  while (!links.peers.has(peer.nodeId)) await new Promise((resolve) => setTimeout(resolve, 5));
  return peer.nodeId;
}

async function echo(to: NodeId, sizeBytes: number): Promise<void> {
  const answered = new Promise<void>((resolve) => {
    received = () => resolve();
  });
  links.send(to, randomBytes(sizeBytes));
  await answered;
}

/** As a link is measured, which takes one or two of them. */
async function sendBursts(to: NodeId, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) await bulk(await links.openStream(to, 'swallow', {}, NEVER), LIMITS.linkBurstBytes);
}

async function fanOut(peers: readonly NodeId[]): Promise<void> {
  let missing = peers.length;
  const answered = new Promise<void>((resolve) => {
    received = () => {
      missing -= 1;
      if (missing === 0) resolve();
    };
  });
  for (const peer of peers) links.send(peer, { kind: 'event', text: 'x'.repeat(100) });
  await answered;
}

async function startBare(sinkBytes: number): Promise<Duplex> {
  const parameters = [BARE, clusterKey.toString('hex'), String(sinkBytes)];
  const child = spawn(process.execPath, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
  children.push(child);
  const [line] = (await once(child.stdout!, 'data')) as [Buffer];
  const socket = dialTls({ host: '127.0.0.1', port: Number(line) }, linkSecret(clusterKey));
  await once(socket, 'secureConnect');
  return socket;
}

/** @returns MB/s until the other end has said that it has all */
async function bulk(stream: Duplex, sizeBytes = BULK_BYTES): Promise<number> {
  const chunk = randomBytes(65_536);
  const done = once(stream, 'data');
  const started = performance.now();
  for (let sent = 0; sent < sizeBytes; sent += chunk.length) {
    if (!stream.write(chunk)) await once(stream, 'drain');
  }
  stream.end();
  await done;
  const seconds = (performance.now() - started) / 1_000;
  stream.destroy();
  return sizeBytes / 1e6 / seconds;
}

async function measure(rounds: number, action: () => Promise<unknown>): Promise<number[]> {
  for (let round = 0; round < rounds / 5; round += 1) await action();
  const times: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const started = performance.now();
    await action();
    times.push((performance.now() - started) * 1_000);
  }
  return times.sort((left, right) => left - right);
}

function print(what: string, times: readonly number[]): void {
  const at = (share: number) =>
    times[Math.min(times.length - 1, Math.floor(times.length * share))]!.toFixed(0);
  console.log(`| ${what} | ${at(0.5)} | ${at(0.99)} |`);
}
