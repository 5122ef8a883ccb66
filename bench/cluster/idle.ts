/**
 * What a cluster of three nodes costs while nobody asks anything: what each sends and receives, counted by the kernel at
 * the interface of its network namespace, with everything that packets carry; its share of a core; its memory.
 *
 *   node dist/bench/cluster/idle.js [minutes = 3]
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Host, Hosts, whyNoHosts } from '../../test/support/hosts.js';
import { ip } from '../../test/support/hostsKernel.js';
import { NodeGroup } from '../../test/support/nodeGroup.js';
import type { NodeProcess } from '../../test/support/nodeProcess.js';

const MINUTES = Number(process.argv[2] ?? 3);
const SETTLE_MS = 10_000;
/** Fields of /proc/PID/stat behind the name: ticks of 10 ms in user and in system mode. */
const USER_TIME_FIELD = 11;
const SYSTEM_TIME_FIELD = 12;
const MILLISECONDS_PER_TICK = 10;

interface Sample {
  readonly at: number;
  readonly counters: readonly number[];
  readonly cpuMs: number;
  readonly residentKibibytes: number;
}

const COUNTERS = ['tx_bytes', 'rx_bytes', 'tx_packets', 'rx_packets'];

async function sample(host: Host, { child: { pid } }: NodeProcess): Promise<Sample> {
  const files = COUNTERS.map((name) => `/sys/class/net/eth0/statistics/${name}`);
  const counters = (await ip('netns', 'exec', host.namespace, 'cat', ...files))
    .trim()
    .split('\n')
    .map(Number);
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return {
    at: performance.now(),
    counters,
    cpuMs: (Number(fields[USER_TIME_FIELD]) + Number(fields[SYSTEM_TIME_FIELD])) * MILLISECONDS_PER_TICK,
    residentKibibytes: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]),
  };
}

if ((await whyNoHosts()) !== null) process.exit(1);
const hosts = await Hosts.create({ count: 3 });
const group = new NodeGroup();
try {
  for (const host of hosts.hosts) await group.add(host, '--no-worker');
  const master = await group.master();
  await sleep(SETTLE_MS);
  const all = () => Promise.all(group.nodes.map((node, i) => sample(hosts.host(i + 1), node)));
  const before = await all();
  await sleep(MINUTES * 60_000);
  const after = await all();
  console.log(`${MINUTES} minutes\n`);
  console.log(
    '| node | sent B/s | received B/s | packets sent/s | packets received/s | of a core | MiB before | MiB after |',
  );
  console.log('|---|---|---|---|---|---|---|---|');
  for (const [i, node] of group.nodes.entries()) {
    const [one, two] = [before[i] as Sample, after[i] as Sample];
    const seconds = (two.at - one.at) / 1_000;
    const rates = two.counters.map((count, place) => (count - (one.counters[place] as number)) / seconds);
    const [sent = 0, received = 0, packetsSent = 0, packetsReceived = 0] = rates;
    const share = (two.cpuMs - one.cpuMs) / (two.at - one.at);
    const memory = [one, two].map(({ residentKibibytes }) => (residentKibibytes / 1_024).toFixed(0));
    console.log(
      `| ${node === master ? 'master' : 'follower'} | ${sent.toFixed(0)} | ${received.toFixed(0)} | ` +
        `${packetsSent.toFixed(1)} | ${packetsReceived.toFixed(1)} | ${(100 * share).toFixed(1)} % | ${memory.join(' | ')} |`,
    );
  }
} finally {
  await group.stop();
  await hosts.close();
}
