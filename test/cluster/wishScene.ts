/** What the tests of MetaInstances have in common: nodes of one cluster on this machine, wishes, and runners that fail. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { InstanceForm, metaInstanceSchema } from '../../src/api/cluster/stateForm.js';
import { NodeGroup } from '../support/nodeGroup.js';
import { isAlive, type NodeProcess, type NodeState } from '../support/nodeProcess.js';
import { MODEL, post } from './scene.js';

export type Wish = ReturnType<(typeof metaInstanceSchema)['parse']>;

/** The parts of `GET /state` that tell what became of wishes. */
export interface WishState extends Omit<NodeState, 'instances'> {
  readonly instances: Record<string, InstanceForm>;
  readonly meta_instances: Record<string, Wish>;
}

const GONE_LIMIT_MS = 20_000;
const LOOK_AGAIN_MS = 20;
const LOCAL = ['--peer-host', '127.0.0.1', '--no-discovery', '--failpoints'];

/** A cluster on this machine that ends with the test. */
export class Cluster {
  readonly group = new NodeGroup();

  /** @param t whose end is the cluster's; without one the caller stops `group` */
  constructor(t?: TestContext) {
    t?.after(() => this.group.stop());
  }

  /** Starts one more node. Its name is part of what is said of failures on it. */
  add(name: string, ...parameters: readonly string[]): Promise<NodeProcess> {
    return this.group.add(null, ...LOCAL, '--name', name, ...this.#peer(), ...parameters);
  }

  /** Starts a node once more that has ended; null when no other node runs. */
  restart(
    node: NodeProcess,
    other: NodeProcess | null,
    ...parameters: readonly string[]
  ): Promise<NodeProcess> {
    const peer = other === null ? [] : ['--peer', other.peerAddress];
    return this.group.restart(node, null, ...LOCAL, ...peer, ...parameters);
  }

  #peer(): string[] {
    const [first] = this.group.nodes;
    return first === undefined ? [] : ['--peer', first.peerAddress];
  }
}

export async function kill(node: NodeProcess): Promise<void> {
  node.child.kill('SIGKILL');
  await node.exited;
}

/** Makes a wish for the model that every node has; its id. */
export async function wishFor(node: NodeProcess, more: object = {}): Promise<string> {
  const response = await post(node, '/meta_instance', { model_id: MODEL, ...more });
  const text = await response.text();
  assert.equal(response.status, 201, text);
  return (JSON.parse(text) as { meta_instance_id: string }).meta_instance_id;
}

export async function remove(node: NodeProcess, id: string): Promise<void> {
  const response = await fetch(`${node.url}/meta_instance/${id}`, { method: 'DELETE' });
  assert.equal(response.status, 202, await response.text());
}

/** What a node shows of a wish: itself, its instances on nodes that are there, and the runners of these. */
export interface Shown {
  readonly state: WishState;
  readonly wish: Wish;
  readonly instances: readonly InstanceForm[];
  /** Of the first instance. */
  readonly instance: InstanceForm | null;
  readonly runnerId: string;
  readonly runner: NodeState['runners'][string] | null;
}

function look(state: WishState, id: string): Shown | null {
  const wish = state.meta_instances[id];
  if (wish === undefined) return null;
  const isThere = ({ shards }: InstanceForm) =>
    shards.every(({ node_id: nodeId }) => state.nodes[nodeId]?.status !== 'dead');
  const instances = Object.values(state.instances).filter(
    (one) => one.meta_instance_id === id && isThere(one),
  );
  const [instance = null] = instances;
  const runnerId = instance?.shards[0]?.runner_id ?? '';
  return { state, wish, instances, instance, runnerId, runner: state.runners[runnerId] ?? null };
}

/** Waits until the node shows the wish as it should be. */
export async function untilWish(
  node: NodeProcess,
  id: string,
  what: string,
  isSo: (shown: Shown) => boolean,
): Promise<Shown> {
  const state = await node.until(what, (seen) => {
    const shown = look(seen as unknown as WishState, id);
    return shown !== null && isSo(shown);
  });
  return look(state as unknown as WishState, id) ?? assert.fail(`the wish ${id} is gone`);
}

export const untilStatus = (node: NodeProcess, id: string, status: Wish['status']): Promise<Shown> =>
  untilWish(node, id, status, ({ wish }) => wish.status === status);

/** The process of the wish's runner. */
export const pidOf = ({ runner }: Shown): number => runner?.pid ?? assert.fail('no process');

/** The node that the wish's instance is on. */
export const nodeIdOf = ({ instance }: Shown): string => instance?.shards[0]?.node_id ?? '';

export async function untilEnded(pid: number): Promise<void> {
  const deadline = Date.now() + GONE_LIMIT_MS;
  while (isAlive(pid)) {
    assert.ok(Date.now() < deadline, `the process ${pid} runs on`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}

/** Waits until nothing is left of what the wish had, on any of the nodes. */
export async function untilNothingLeft(nodes: readonly NodeProcess[], id: string): Promise<void> {
  for (const node of nodes) {
    await node.until('without the wish', (seen) => {
      const { meta_instances: wishes, instances, runners, tasks } = seen as unknown as WishState;
      const isOf = (instanceId: string) => instanceId.startsWith(id);
      return (
        wishes[id] === undefined &&
        !Object.keys(instances).some(isOf) &&
        !Object.keys(runners).some(isOf) &&
        Object.values(tasks).every(({ status }) => status !== 'running')
      );
    });
  }
}

/** Kills the runner of a wish that is served, and lets each attempt after it fail; `owner` is the node that it is on. */
export async function failForGood(owner: NodeProcess, id: string, attempts: number): Promise<void> {
  for (let failures = 0; failures < attempts; failures += 1) {
    const shown = await untilWish(
      owner,
      id,
      `failed ${failures} times`,
      ({ wish, instance }) => wish.consecutive_failures === failures && instance !== null,
    );
    if (failures === 0) {
      process.kill(pidOf(shown), 'SIGKILL');
      continue;
    }
    const fault = { name: 'runner.fail_loading', runner_id: shown.runnerId };
    const armed = await post(owner, '/debug/failpoints', fault);
    assert.equal(armed.status, 200, await armed.text());
  }
}
