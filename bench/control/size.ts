/**
 * The control plane at a size that no home has: 100 nodes, 1,000 instances, 1,000,000 requests. Times are of the real
 * code on this machine; what takes virtual time is measured in the simulator on a network with 1 ms of delay.
 * `node --expose-gc dist/bench/control/size.js [NODES] [INSTANCES] [REQUESTS]` prints a table.
 */
import { pack } from 'msgpackr';
import { apply } from '../../src/control/apply.js';
import { ControlLog } from '../../src/control/cluster/controlLog.js';
import type { PeerMessage } from '../../src/control/cluster/messages.js';
import { NodeCore } from '../../src/control/cluster/nodeCore.js';
import type { NodeInput, NodeOutput } from '../../src/control/cluster/ports.js';
import { toSnapshot } from '../../src/control/cluster/snapshot.js';
import type { ControlEvent } from '../../src/control/events.js';
import type { ClusterState, InstanceRecord } from '../../src/control/state.js';
import { planWorker } from '../../src/control/workerPlan.js';
import type { CommandId, InstanceId, ModelId, NodeId, RunnerId, TaskId } from '../../src/shared/ids.js';
import type { InvariantWatch } from '../../test/simulator/invariants/contract.js';
import type { Process } from '../../test/simulator/machine.js';
import { World } from '../../test/simulator/world.js';

const [NODES, INSTANCES, REQUESTS] = [100, 1_000, 1_000_000].map((normal, at) =>
  Number(process.argv[2 + at] ?? normal),
) as [number, number, number];

const rows: [string, string][] = [];

const world = quietWorld();
inTheState(formation());
joining();
idle();
manyRequests();
console.log(`| ${NODES} nodes, ${INSTANCES} instances | |\n|---|---|`);
for (const [what, value] of rows) console.log(`| ${what} | ${value} |`);

/** Counts what is sent, by kind, in bytes of MessagePack. */
function counter() {
  const sent = new Map<PeerMessage['kind'], { messages: number; bytes: number; largest: number }>();
  let isCounting = false;
  const watch: InvariantWatch = {
    handled(_process, _input, outputs) {
      if (!isCounting) return;
      for (const output of outputs) if (output.kind === 'Send') add(output.message);
    },
  };
  const add = (message: PeerMessage) => {
    const { kind } = message.kind === 'Relay' ? message.message : message;
    const entry = sent.get(kind) ?? { messages: 0, bytes: 0, largest: 0 };
    const bytes = pack(message).length;
    entry.messages += 1;
    entry.bytes += bytes;
    entry.largest = Math.max(entry.largest, bytes);
    sent.set(kind, entry);
  };
  return {
    watch,
    sent,
    during(run: () => void) {
      sent.clear();
      isCounting = true;
      run();
      isCounting = false;
      return sent;
    },
  };
}

function quietWorld() {
  const traffic = counter();
  const world = new World({
    seed: 1,
    plan: {
      nodes: NODES,
      endMs: Number.POSITIVE_INFINITY,
      faultEveryMs: new Map(),
      wishEveryMs: 1_000,
      requestMs: 1_000,
      models: 1,
      drift: 0,
      declarations: null,
      cursedRunners: 0,
    },
    invariants: [{ name: 'traffic', meaning: '', kind: 'safety', watch: () => traffic.watch }],
  });
  return { world, traffic };
}

/** All nodes but the last start at once, and 1,000 instances are made. */
function formation(): Process {
  const { machines, time } = world.world;
  for (const machine of machines.slice(0, -1)) machine.start();
  const agreed = () => {
    const { processes } = world.world;
    return processes.every(({ core }) => core.isUpToDate && core.state.nodes.size === NODES - 1);
  };
  while (!agreed()) time.runUntil(time.now + 50);
  rows.push([`from ${NODES - 1} starts at once to one cluster`, `${Math.round(time.now)} ms`]);
  const master = world.world.processes.find(({ core }) => core.role === 'master') as Process;
  for (let count = 1; count <= INSTANCES; count += 1) {
    const command = { kind: 'CreateInstance', instance: instance(count) } as const;
    master.handle({ kind: 'CommandIssued', key: `create ${count}`, command, timeoutMs: 15_000 });
    if (count % 50 === 0) time.runUntil(time.now + 100);
  }
  time.runUntil(time.now + 5_000);
  return master;
}

function instance(count: number): InstanceRecord {
  const worldSize = count % 5 === 0 ? 2 : 1;
  const shards = [0, 1].slice(0, worldSize).map((rank) => ({
    rank,
    worldSize,
    nodeId: `n${1 + ((count + rank) % (NODES - 1))}` as NodeId,
    runnerId: `00000000-0000-4000-8000-${String(count).padStart(11, '0')}${rank}` as RunnerId,
    startLayer: (32 / worldSize) * rank,
    endLayer: (32 / worldSize) * (rank + 1),
    memoryBytes: 1_000_000_000,
  }));
  return {
    instanceId: `00000000-0000-4000-8000-${String(count).padStart(12, '0')}` as InstanceId,
    metaInstanceId: null,
    attempt: 1,
    failure: null,
    excused: 0,
    modelId: `model-${count % 10}` as ModelId,
    sharding: 'Pipeline',
    transport: 'Ring',
    contextLength: 4_096,
    maxSequences: 16,
    cacheCells: 8_192,
    shards,
  };
}

function inTheState(master: Process): void {
  const { core } = master;
  const snapshot = pack(toSnapshot(core.state, core.position)).length;
  rows.push(['snapshot in MessagePack', `${(snapshot / 1024).toFixed(0)} KiB`]);
  const requests = eventsASecond(core.state, requestEvents());
  rows.push(['applied: a task assigned or finished', `${requests} a second`]);
  const reports = eventsASecond(core.state, runnerEvents(core.state));
  rows.push(['applied: a status of a runner', `${reports} a second`]);
  const tickMs = meanMs(200, () => master.core.handle({ kind: 'Tick' }, master.machine.clock.instant));
  rows.push(['one tick of the master', `${tickMs.toFixed(2)} ms`]);
  const has = {
    supervised: new Set(master.worker.runners.keys()),
    leaving: new Set<InstanceId>(),
    memoryBytes: new Map<RunnerId, number>(),
  };
  const planMs = meanMs(1_000, () => planWorker(core.state, master.machine.id, has));
  rows.push(['one plan of a worker', `${planMs.toFixed(3)} ms`]);
}

function requestEvents(): ControlEvent[] {
  return Array.from({ length: 20_000 }, (_, at): ControlEvent => {
    const count = Math.floor(at / 2);
    const taskId = `task-${count}` as TaskId;
    const instanceId = instance(1 + (count % INSTANCES)).instanceId;
    if (at % 2 === 1) return { kind: 'TaskFinished', taskId, instanceId, status: 'complete' };
    const commandId = `command-${count}` as CommandId;
    const api = { apiNodeId: 'n1' as NodeId, apiIncarnation: 1, createdAt: 0 };
    const task = { taskId, commandId, instanceId, kind: 'generation', status: 'running', ...api } as const;
    return { kind: 'TaskAssigned', task };
  });
}

function runnerEvents(state: ClusterState): ControlEvent[] {
  return [...state.runners.values()].slice(0, 2_000).map((runner) => ({
    kind: 'RunnerStatusChanged',
    runner: { ...runner, sequence: runner.sequence + 1 },
  }));
}

function eventsASecond(state: ClusterState, events: readonly ControlEvent[]): string {
  events.slice(0, 500).reduce(apply, state);
  const startedAt = performance.now();
  events.reduce(apply, state);
  return thousands((1_000 * events.length) / (performance.now() - startedAt));
}

function joining(): void {
  const { machines, time } = world.world;
  const last = machines.at(-1);
  if (last === undefined) return;
  const since = time.now;
  const sent = world.traffic.during(() => {
    last.start();
    while (last.process?.core.isUpToDate !== true) time.runUntil(time.now + 1);
  });
  const install = sent.get('Install')?.largest ?? 0;
  rows.push([
    'a node joins',
    `up to date after ${Math.round(time.now - since)} ms, 20 to 600 of them dialling`,
  ]);
  rows.push(['what it is sent (Install)', `${(install / 1024).toFixed(0)} KiB`]);
  time.runUntil(time.now + 3_000);
  const before = time.now;
  const rejoin = world.traffic.during(() => {
    last.crash();
    time.runUntil(time.now + 3_000);
    last.start();
    while (last.process?.core.isUpToDate !== true) time.runUntil(time.now + 1);
  });
  const join = rejoin.get('Join')?.largest ?? 0;
  rows.push(['a node comes back after 3 s', `up to date after ${Math.round(time.now - before - 3_000)} ms`]);
  rows.push(['what it says (Join)', `${(join / 1024).toFixed(0)} KiB`]);
}

function idle(): void {
  const { time } = world.world;
  time.runUntil(time.now + 3_000);
  const seconds = 5;
  const sent = world.traffic.during(() => time.runUntil(time.now + 1_000 * seconds));
  let [messages, bytes] = [0, 0];
  for (const entry of sent.values()) {
    messages += entry.messages;
    bytes += entry.bytes;
  }
  const each = NODES * seconds;
  rows.push([
    'idle, sent by each node',
    `${(messages / each).toFixed(0)} messages, ${(bytes / each / 1024).toFixed(1)} KiB a second`,
  ]);
}

/** One node that rules alone, with requests from beginning to end. */
function manyRequests(): void {
  const log = new ControlLog();
  const node = {
    nodeId: 'n1' as NodeId,
    name: 'n1',
    incarnation: 1,
    addresses: [],
    memoryBytes: 1e9,
    isDraining: false,
    models: [],
  };
  const core = new NodeCore({ node, log, term: 0 });
  let now = 0;
  const give = (input: NodeInput): NodeOutput[] => core.handle(input, { monotonicMs: now, wallMs: now });
  for (; core.role !== 'master'; now += 100) give({ kind: 'Tick' });
  const shards = instance(1).shards.map((shard) => ({ ...shard, nodeId: node.nodeId }));
  give({
    kind: 'CommandIssued',
    key: 'k',
    command: { kind: 'CreateInstance', instance: { ...instance(1), shards } },
    timeoutMs: 1e9,
  });
  const heapBefore = heapMiB();
  const startedAt = performance.now();
  for (let count = 1; count <= REQUESTS; count += 1) {
    now += 1;
    const taskId = `task-${count}` as TaskId;
    const commandId = `command-${count}` as CommandId;
    give({
      kind: 'TaskArrived',
      taskId,
      commandId,
      modelId: instance(1).modelId,
      deadlineMs: 60_000,
      placeWaitMs: 0,
    });
    give({ kind: 'TaskStreamEnded', taskId, status: 'complete' });
    if (count % 100 === 0) give({ kind: 'Tick' });
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  const snapshot = pack(toSnapshot(core.state, core.position)).length;
  rows.push([
    `${thousands(REQUESTS)} requests through one master`,
    `${thousands(REQUESTS / seconds)} a second; heap ${heapBefore} → ${heapMiB()} MiB; snapshot ${(snapshot / 1024).toFixed(0)} KiB; log at ${thousands(core.position.index)}`,
  ]);
}

function heapMiB(): string {
  globalThis.gc?.();
  return (process.memoryUsage().heapUsed / 1024 / 1024).toFixed(0);
}

function meanMs(times: number, run: () => void): number {
  for (let warm = 0; warm < 20; warm += 1) run();
  const startedAt = performance.now();
  for (let time = 0; time < times; time += 1) run();
  return (performance.now() - startedAt) / times;
}

function thousands(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}
