/** A cluster for the tests of this folder: nodes come and go, runners live and die, and the master looks after it. */
import type { InstanceId, MetaInstanceId, NodeId } from '../../shared/ids.js';
import { apply } from '../apply.js';
import type { Epoch } from '../cluster/position.js';
import type { ControlEvent } from '../events.js';
import { runnersOf } from '../instances.js';
import { NOTHING_MEASURED } from '../measurements.js';
import { type MetaInstanceStatus, metaInstanceStatus } from '../metaInstanceView.js';
import type { LinkFacts } from '../placement/types.js';
import type { RunnerStatus } from '../runnerLife.js';
import {
  type ClusterState,
  EMPTY_STATE,
  type InstanceRecord,
  type MetaInstanceRecord,
  type MetaInstanceWish,
  type NodeFact,
  type RunnerFailure,
  type RunnerRecord,
} from '../state.js';
import { metaInstanceCreated, nodeFact } from '../testing.js';
import { instancesOfWish } from '../wishInstances.js';
import type { LostLink } from './contract.js';
import { reconcile } from './reconcile.js';

const FAILURE: RunnerFailure = {
  code: 'runner_failed',
  message: 'Terminated (signal=9 SIGKILL)',
  phase: 'loading',
  stderrTail: [],
  ranForMs: 5,
};

export class Scene {
  state: ClusterState = EMPTY_STATE;
  now = 1_000_000;
  /** Pairs of living nodes that do not hear each other. */
  lostLinks: LostLink[] = [];
  reign: Epoch = { term: 1, nodeId: 'master-node' as NodeId };
  /** Every node is linked with every other but for these. */
  readonly unlinked = new Set<string>();
  #reports = 0;

  /** @param nodes each with memory for one whole model of `modelShape()`, and for its shards */
  constructor(...nodes: readonly string[]) {
    for (const name of nodes) this.join(name);
  }

  apply(...events: readonly ControlEvent[]): void {
    this.state = events.reduce(apply, this.state);
  }

  get links(): LinkFacts[] {
    const names = [...this.state.nodes.keys()].filter((name) => !this.unlinked.has(name));
    return names.flatMap((from) => names.filter((to) => to !== from).map((to) => linkFacts(from, to)));
  }

  /** What the master decides now; the state has it afterwards. */
  look(): ControlEvent[] {
    const { state, now, reign, links, lostLinks } = this;
    const events = reconcile({ ...NOTHING_MEASURED, state, now, reign, links, lostLinks });
    this.apply(...events);
    return events;
  }

  /** @param ms since the look before */
  lookAfter(ms: number): ControlEvent[] {
    this.now += ms;
    return this.look();
  }

  join(name: string, more: Partial<NodeFact> = {}): void {
    this.apply({ kind: 'NodeJoined', node: { ...nodeFact(name as NodeId), ...more } });
  }

  judge(name: string, status: 'alive' | 'suspect' | 'dead'): void {
    this.apply({ kind: 'NodeStatusChanged', nodeId: name as NodeId, status, at: this.now });
  }

  wish(id: string, more?: Partial<MetaInstanceWish>): void {
    this.apply(metaInstanceCreated(id, more));
  }

  /** What became of a wish. */
  of(id: string): MetaInstanceRecord {
    const found = this.state.metaInstances.get(id as MetaInstanceId);
    if (found === undefined) throw new Error(`there is no wish ${id}`);
    return found;
  }

  status(id: string): MetaInstanceStatus {
    return metaInstanceStatus(this.state, this.of(id));
  }

  instances(id: string): InstanceRecord[] {
    return [...this.state.instances.values()].filter(({ metaInstanceId }) => metaInstanceId === id);
  }

  /** Those whose nodes are all there. */
  present(id: string): readonly InstanceRecord[] {
    return instancesOfWish(this.state, this.of(id).metaInstanceId).present;
  }

  /** The only one. */
  instance(id: string): InstanceRecord {
    const [first, ...others] = this.instances(id);
    if (first === undefined || others.length > 0) throw new Error(`${id} has not one instance`);
    return first;
  }

  places(id: string): string[] {
    return this.instances(id).flatMap(({ shards }) => shards.map(({ nodeId }) => nodeId));
  }

  /** What the nodes say of the runners of these instances, or of the one of that rank. */
  report(instance: InstanceRecord, status: RunnerStatus, rank: number | null = null): void {
    for (const runner of runnersOf(this.state, instance)) {
      if (rank === null || runner.rank === rank) this.apply(this.reportOf(runner, status));
    }
  }

  /** @param fault what a failed one says of it */
  reportOf(
    { runnerId, nodeId, error, restarts }: RunnerRecord,
    status: RunnerStatus,
    fault: Partial<RunnerFailure> = {},
  ): ControlEvent {
    this.#reports += 1;
    const incarnation = this.state.nodes.get(nodeId)?.incarnation ?? 1;
    return {
      kind: 'RunnerStatusChanged',
      runner: {
        runnerId,
        incarnation,
        sequence: this.#reports,
        status,
        pid: null,
        restarts,
        restartAt: null,
        error: status === 'failed' ? { ...FAILURE, ...fault } : error,
      },
    };
  }

  /** All runners of the instance of a wish are ready. */
  serve(id: string): ControlEvent[] {
    this.report(this.instance(id), 'ready');
    return this.look();
  }

  /** The instance of a wish fails, is seen to, and is started anew when that is due. */
  failOnce(id: string): ControlEvent[] {
    this.report(this.instance(id), 'failed');
    const seen = this.look();
    const { nextAttempt } = this.of(id);
    if (nextAttempt === null) return seen;
    this.now = nextAttempt.at;
    return [...seen, ...this.look()];
  }

  /** Until it is given up where it is. */
  failForGood(id: string): void {
    const instanceId: InstanceId = this.instance(id).instanceId;
    while (this.state.instances.has(instanceId)) this.failOnce(id);
  }
}

const linkFacts = (from: NodeId, to: NodeId): LinkFacts => ({
  from,
  to,
  isConnected: true,
  roundTripUs: null,
  bytesPerSecond: null,
  rdma: false,
});

export const kinds = (events: readonly ControlEvent[]): string[] => events.map(({ kind }) => kind);
