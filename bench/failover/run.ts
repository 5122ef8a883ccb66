/**
 * What a cluster of three nodes, each in a network namespace of its own and serving the same model, loses when one of
 * them breaks, again and again: until both survivors take the node for dead (their log), until both show it dead and
 * show a new master (`/events`, which is pushed: nothing is polled), and until a request is served that a survivor gets
 * right after the fault. Times count from before the fault is caused. One kind of fault has a stream between
 * the survivors running; its tokens are counted. After each round the node is healed or started again.
 *
 *   node dist/bench/failover/run.js [rounds = 20] [fault …]
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Hosts, whyNoHosts } from '../../test/support/hosts.js';
import { NodeGroup } from '../../test/support/nodeGroup.js';
import type { NodeProcess } from '../../test/support/nodeProcess.js';
import { percentile } from '../api/measure.js';
import { type StreamReport, WatchedStream } from './watchedStream.js';
import { Witness } from './witness.js';

const ROUNDS = Number(process.argv[2] ?? 20);
const CHOSEN = process.argv.slice(3);
const MODEL = 'shoal-guide';
const PARAMETERS = ['--serve', MODEL, '--failpoints'];
const LIMIT_MS = 30_000;

interface Fault {
  readonly isOfMaster: boolean;
  readonly hasStream?: boolean;
  cause(node: NodeProcess): Promise<unknown> | unknown;
  /** Makes the node one of the cluster again. */
  heal(node: NodeProcess): Promise<unknown> | unknown;
}

interface Times {
  readonly judgedMs: number[];
  readonly deadMs: number[];
  readonly masterMs: number[];
  readonly servedMs: number[];
  readonly streams: StreamReport[];
  refusals: number;
}

const why = await whyNoHosts();
if (why !== null) process.exit(1);
const hosts = await Hosts.create({ count: 3 });
const group = new NodeGroup();
const hostOf = (node: NodeProcess) => hosts.host(group.nodes.indexOf(node) + 1);
const killed = {
  cause: (node: NodeProcess) => node.child.kill('SIGKILL'),
  heal: async (node: NodeProcess) => {
    await node.exited;
    await group.restart(node, hostOf(node), ...PARAMETERS);
  },
};

const FAULTS: Record<string, Fault> = {
  'SIGKILL of the master, a stream between the others': { ...killed, isOfMaster: true, hasStream: true },
  'SIGKILL of the master': { ...killed, isOfMaster: true },
  'SIGKILL of another node': { ...killed, isOfMaster: false },
  'cable of the master cut silently': {
    isOfMaster: true,
    cause: (node) => hosts.cut(hostOf(node)),
    heal: (node) => hosts.heal(hostOf(node)),
  },
  'SIGSTOP of the master': {
    isOfMaster: true,
    cause: (node) => node.child.kill('SIGSTOP'),
    heal: (node) => node.child.kill('SIGCONT'),
  },
};

/** The time of the later of two witnesses. */
async function untilBoth(
  what: string,
  witnesses: readonly Witness[],
  read: (one: Witness) => number | null,
): Promise<number> {
  const deadline = Date.now() + LIMIT_MS;
  for (;;) {
    const times = witnesses.map(read);
    if (times.every((time) => time !== null)) return Math.max(...times);
    if (Date.now() > deadline) throw new Error(`not ${what} within ${LIMIT_MS} ms`);
    await sleep(10);
  }
}

/** Asks at once, and again whenever it is refused; resolves when an answer has come. */
async function untilServed(node: NodeProcess, times: Times): Promise<number> {
  const deadline = Date.now() + LIMIT_MS;
  while (Date.now() < deadline) {
    const response = await fetch(`${node.url}/v1/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: MODEL, prompt: 'Once', max_tokens: 1 }),
      signal: AbortSignal.timeout(LIMIT_MS),
    });
    await response.text();
    if (response.ok) return Date.now();
    times.refusals += 1;
    await sleep(20);
  }
  throw new Error(`nothing served within ${LIMIT_MS} ms`);
}

async function round(fault: Fault, times: Times): Promise<void> {
  const master = await group.master();
  const victim = fault.isOfMaster ? master : (group.nodes.find((node) => node !== master) as NodeProcess);
  const left = group.nodes.filter((node) => node !== victim) as [NodeProcess, NodeProcess];
  const witnesses = await Promise.all(left.map((node) => Witness.of(node, victim.nodeId)));
  const stream = fault.hasStream ? await streamBetween(...left) : null;
  const begun = Date.now();
  await fault.cause(victim);
  const served = untilServed(left[0], times);
  times.judgedMs.push((await untilBoth('judged', witnesses, (one) => one.judgedAt(begun))) - begun);
  times.deadMs.push((await untilBoth('shown dead', witnesses, (one) => one.deadAt)) - begun);
  if (fault.isOfMaster) {
    times.masterMs.push((await untilBoth('ruled', witnesses, (one) => one.masterAt)) - begun);
  }
  times.servedMs.push((await served) - begun);
  if (stream !== null) times.streams.push(await stream.ended);
  await Promise.all(witnesses.map((one) => one.leave()));
  await fault.heal(victim);
  await group.agreed();
  await group.ready(group.nodes.length);
}

/** Asked of the one, computed on the other. */
async function streamBetween(asking: NodeProcess, serving: NodeProcess): Promise<WatchedStream> {
  const { instances } = (await asking.state()) as unknown as {
    instances: Record<string, { readonly shards: readonly { readonly node_id: string }[] }>;
  };
  const found = Object.entries(instances).find(([, { shards }]) => shards[0]?.node_id === serving.nodeId);
  const stream = await WatchedStream.on(asking, found?.[0] ?? '');
  await stream.begun();
  return stream;
}

const cells = (list: readonly number[]) =>
  list.length === 0 ? '' : [0.5, 0.9, 1].map((share) => percentile(list, share).toFixed(0)).join(' / ');

try {
  for (const host of hosts.hosts) await group.add(host, ...PARAMETERS);
  await group.agreed();
  await group.ready(group.nodes.length);
  console.log(`${ROUNDS} rounds each; ms, p50 / p90 / max\n`);
  console.log('| fault | taken for dead | shown dead | new master | request served | refused before |');
  console.log('|---|---|---|---|---|---|');
  for (const [name, fault] of Object.entries(FAULTS)) {
    if (CHOSEN.length > 0 && !CHOSEN.some((part) => name.includes(part))) continue;
    const times: Times = { judgedMs: [], deadMs: [], masterMs: [], servedMs: [], streams: [], refusals: 0 };
    for (let i = 0; i < ROUNDS; i += 1) await round(fault, times);
    const { judgedMs, deadMs, masterMs, servedMs, streams, refusals } = times;
    const columns = [judgedMs, deadMs, masterMs, servedMs].map(cells);
    console.log(`| ${name} | ${columns.join(' | ')} | ${refusals} |`);
    if (streams.length === 0) continue;
    const lost = streams.reduce((sum, { lostTokens }) => sum + lostTokens, 0);
    const pauses = streams.map(({ longestPauseMs }) => longestPauseMs);
    console.log(`\n${streams.length} streams: ${lost} tokens lost; longest pause ${cells(pauses)} ms\n`);
  }
} finally {
  await group.stop();
  await hosts.close();
}
