import assert from 'node:assert/strict';
import { test } from 'node:test';
import { apply } from '../../control/apply.js';
import type { ControlEvent } from '../../control/events.js';
import { type ClusterState, EMPTY_STATE } from '../../control/state.js';
import { instanceCreated, instanceDeleted, nodeJoined, runnerStatusChanged } from '../../control/testing.js';
import type { InstanceId, NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { Calls } from '../calls/calls.js';
import { TestNetwork } from '../calls/testing/testNetwork.js';
import { until } from '../calls/testing/until.js';
import type { ClusterListener } from '../clusterNode.js';
import { Gatherings, type GatheringsOptions } from './gatherings.js';
import type { Contribution } from './protocol.js';

const [A, B, C] = ['a', 'b', 'c'] as unknown as readonly [NodeId, NodeId, NodeId];
/** Begins with the test: all unit tests share one process, which has run for a while by then. */
const inTime = (): AbortSignal => AbortSignal.timeout(60_000);

/** The same state on every node, and one that rules, as far as they know. */
class Cluster {
  readonly network = new TestNetwork();
  readonly calls: Calls[] = [];
  readonly #listeners = new Set<ClusterListener>();
  state: ClusterState = [A, B, C].reduce((state, id) => apply(state, nodeJoined(id)), EMPTY_STATE);

  node(nodeId: NodeId, options: GatheringsOptions): Gatherings {
    const calls = new Calls({
      links: this.network.node(nodeId),
      onBug: (_, error) => assert.fail(String(error)),
    });
    this.calls.push(calls);
    const all = this;
    const cluster = {
      get state() {
        return all.state;
      },
      get role() {
        return all.state.masterNodeId === nodeId ? ('master' as const) : ('follower' as const);
      },
      get isUpToDate() {
        return all.state.masterNodeId !== null;
      },
      listen: (listener: ClusterListener) => {
        this.#listeners.add(listener);
        return () => this.#listeners.delete(listener);
      },
    };
    return new Gatherings({ nodeId, calls, cluster }, options);
  }

  rules(nodeId: NodeId): void {
    this.apply({ kind: 'MasterElected', nodeId, term: this.state.term + 1 });
  }

  apply(...events: readonly ControlEvent[]): void {
    for (const event of events) {
      this.state = apply(this.state, event);
      for (const { applied } of this.#listeners) applied?.({ index: this.state.index, event }, this.state);
    }
  }
}

function setUp(options: GatheringsOptions = {}) {
  const cluster = new Cluster();
  const [a, b, c] = [A, B, C].map((id) => cluster.node(id, options)) as [Gatherings, Gatherings, Gatherings];
  cluster.rules(C);
  cluster.apply(instanceCreated('i', [A, B]));
  const nothingIsLeft = async () => {
    await until('no call is open', () => cluster.calls.every(({ openCount }) => openCount === 0));
    for (const node of [a, b, c]) assert.deepEqual(node.size, { gatherings: 0, callers: 0 });
  };
  return { cluster, a, b, c, nothingIsLeft };
}

function of(rank: number, more: Partial<Contribution> = {}): Contribution {
  const blob = Uint8Array.of(0, 255, rank);
  return { instanceId: 'i' as InstanceId, attempt: 1, round: 0, rank, worldSize: 2, blob, ...more };
}

const BLOBS = [of(0).blob, of(1).blob];
const bytes = (blobs: readonly Uint8Array[]) => blobs.map((blob) => [...blob]);

test('R51: ranks of two nodes meet at a master that is a third, or one of them, and nothing is left when all are ready', async () => {
  const { cluster, a, b, nothingIsLeft } = setUp();
  for (const [round, master] of [C, A, B].entries()) {
    cluster.rules(master);
    const both = await Promise.all([
      a.gather(of(0, { round }), inTime()),
      b.gather(of(1, { round }), inTime()),
    ]);
    for (const blobs of both) assert.deepEqual(bytes(blobs), bytes(BLOBS));
  }
  const { runnerId } = cluster.state.instances.get('i' as InstanceId)!.shards[1]!;
  const ready = runnerStatusChanged('i', 'ready');
  assert.ok(ready.kind === 'RunnerStatusChanged');
  cluster.apply(ready, { ...ready, runner: { ...ready.runner, runnerId } });
  await nothingIsLeft();
});

test('R51: who waits when the master is lost, or there is none yet, is answered by the next', async () => {
  const { cluster, a, b } = setUp();
  const early = a.gather(of(0), inTime());
  await until('the master has it', () => cluster.calls[2]?.openCount === 1);
  cluster.rules(B);
  const late = b.gather(of(1), inTime());
  assert.deepEqual((await Promise.all([early, late])).map(bytes), [bytes(BLOBS), bytes(BLOBS)]);
});

test('R52: a deleted instance, one that is started anew, and a caller that gives up leave nothing', async () => {
  const { cluster, a, c, nothingIsLeft } = setUp();
  for (const end of [
    () => cluster.apply(instanceDeleted('i')),
    () => cluster.apply({ kind: 'InstanceRetrying', instanceId: 'i' as InstanceId, attempt: 2 }),
  ]) {
    cluster.state = { ...cluster.state, deletedInstances: [], instances: new Map(), runners: new Map() };
    cluster.apply(instanceCreated('i', [A, B]));
    const waiting = a.gather(of(0), inTime());
    waiting.catch(() => undefined);
    await until('the master has it', () => c.size.callers === 1);
    end();
    await assert.rejects(waiting, { code: 'cancelled' });
    await nothingIsLeft();
  }
  const givingUp = new AbortController();
  const waiting = a.gather(of(0, { attempt: 2 }), givingUp.signal);
  waiting.catch(() => undefined);
  await until('the master has it', () => c.size.callers === 1);
  const reason = new Error('enough');
  givingUp.abort(reason);
  await assert.rejects(waiting, reason);
  await until('the master knows', () => c.size.callers === 0);
  cluster.apply(instanceDeleted('i'));
  await nothingIsLeft();
});

test('R52: a rank that never comes is named to those that wait, and a late one is heard', async () => {
  const { cluster, a, b, c, nothingIsLeft } = setUp({ missingMs: 50 });
  const details = { rank: 1, node: cluster.state.nodes.get(B)?.name };
  await assert.rejects(a.gather(of(0), inTime()), { code: 'deadline_exceeded', details });
  assert.equal(c.size.callers, 0);
  assert.deepEqual(bytes(await b.gather(of(1), inTime())), bytes(BLOBS));
  cluster.apply(instanceDeleted('i'));
  await nothingIsLeft();
});

test('R52: 1,000 instances that are made, meet half or whole, and are deleted leave nothing', async () => {
  const { cluster, a, b, nothingIsLeft } = setUp();
  for (let cycle = 0; cycle < 1_000; cycle += 1) {
    const instanceId = `cycle-${cycle}` as InstanceId;
    cluster.apply(instanceCreated(instanceId, [A, B]));
    const waiting = [a.gather(of(0, { instanceId }), inTime())];
    if (cycle % 2 === 0) waiting.push(b.gather(of(1, { instanceId }), inTime()));
    const ends = Promise.allSettled(waiting);
    if (cycle % 3 === 0) await Promise.race([ends, new Promise(setImmediate)]);
    cluster.apply(instanceDeleted(instanceId));
    for (const end of await ends) {
      if (end.status === 'rejected') assert.equal((end.reason as { code: string }).code, 'cancelled');
      else assert.equal(end.value.length, 2);
    }
  }
  await nothingIsLeft();
});

test('R53: what is too long, of another attempt, or not of the node that brings it is refused', async () => {
  const { cluster, a, b, nothingIsLeft } = setUp();
  await assert.rejects(b.gather(of(0), inTime()), { code: 'invalid_request' });
  await assert.rejects(a.gather(of(0, { worldSize: 3 }), inTime()), { code: 'invalid_request' });
  await assert.rejects(a.gather(of(0, { attempt: 0 }), inTime()), { code: 'cancelled' });
  await assert.rejects(a.gather(of(0, { instanceId: 'none' as InstanceId }), inTime()), {
    code: 'cancelled',
  });
  const blob = new Uint8Array(LIMITS.sideChannelBlobBytes + 1);
  await assert.rejects(a.gather(of(0, { blob }), inTime()), { code: 'peer_protocol_error' });
  for (const body of [null, {}, { ...of(0), blob: 'text' }, { ...of(0), rank: -1 }]) {
    await assert.rejects(cluster.calls[0]!.call(C, 'gather', body), { code: 'peer_protocol_error' });
  }
  await nothingIsLeft();
});
