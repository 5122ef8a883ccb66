/** Several nodes of one cluster for tests and benchmarks, on hosts of their own or all on this machine. */
import { randomBytes } from 'node:crypto';
import { formatToken } from '../../src/cluster/joinToken.js';
import { HERE, lookAgain, NodeProcess, type NodeState, type Place } from './nodeProcess.js';

const CLUSTER_KEY_BYTES = 32;
const AGREE_LIMIT_MS = 60_000;

export const newToken = (): string => formatToken(randomBytes(CLUSTER_KEY_BYTES));

export class NodeGroup {
  readonly nodes: NodeProcess[] = [];
  readonly token: string;

  constructor(token: string = newToken()) {
    this.token = token;
  }

  /**
   * Starts one more node; what it is told beside the token is up to the test. What it shall serve is declared for this
   * node alone, since `--serve` asks only that the model runs somewhere; a node without API takes it as it is.
   */
  async add(place: Place | null, ...parameters: readonly string[]): Promise<NodeProcess> {
    const { models, rest } = parameters.includes('--no-api')
      ? { models: [], rest: parameters }
      : takeServed(parameters);
    const all = ['--peer-port', '0', '--token', this.token, ...rest];
    const node = await (place === null ? NodeProcess.start(...all) : NodeProcess.startAt(place, ...all));
    this.nodes.push(node);
    for (const model of models) await declareOn(node, model);
    return node;
  }

  /** Starts a node that has ended once more, with its home. */
  async restart(
    node: NodeProcess,
    place: Place | null,
    ...parameters: readonly string[]
  ): Promise<NodeProcess> {
    const { rest } = takeServed(parameters);
    const again = await NodeProcess.startAgain(node, place ?? HERE, '--peer-port', '0', ...rest);
    this.nodes[this.nodes.indexOf(node)] = again;
    return again;
  }

  /** Waits until these nodes, all by default, have one master and everybody of them is alive in everybody's state. */
  async agreed(nodes: readonly NodeProcess[] = this.nodes): Promise<NodeState> {
    const since = Date.now();
    for (;;) {
      const states = await Promise.all(nodes.map((node) => node.state()));
      const [first] = states as [NodeState];
      if (states.every((state) => isOneCluster(state, first.master_node_id, nodes))) return first;
      if (Date.now() > since + AGREE_LIMIT_MS) {
        const said = nodes.map((node, i) => `${JSON.stringify(states[i])}\n${node.log()}`);
        throw new Error(`not agreed after ${AGREE_LIMIT_MS} ms:\n${said.join('\n')}`);
      }
      await lookAgain(since);
    }
  }

  /** The node that rules, as the first of these nodes sees it. */
  async master(nodes: readonly NodeProcess[] = this.nodes): Promise<NodeProcess> {
    const { master_node_id: master } = await this.agreed(nodes);
    return this.nodes.find(({ nodeId }) => nodeId === master) as NodeProcess;
  }

  /** Waits until every instance is ready in the state of every node, and there are so many. */
  async ready(count: number): Promise<void> {
    for (const node of this.nodes) {
      await node.until(`serving ${count} instances`, ({ instances }) => {
        const statuses = Object.values(instances).map(({ status }) => status);
        return statuses.length === count && statuses.every((status) => status === 'ready');
      });
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop()));
  }
}

function isOneCluster(state: NodeState, master: string | null, nodes: readonly NodeProcess[]): boolean {
  return (
    state.master_node_id === master &&
    nodes.some(({ nodeId }) => nodeId === master) &&
    nodes.every(({ nodeId }) => state.nodes[nodeId]?.status === 'alive')
  );
}

function takeServed(parameters: readonly string[]): { models: string[]; rest: string[] } {
  const models: string[] = [];
  const rest: string[] = [];
  for (const [place, parameter] of parameters.entries()) {
    if (parameters[place - 1] === '--serve') models.push(parameter);
    else if (parameter !== '--serve') rest.push(parameter);
  }
  return { models, rest };
}

/** Declares that the model runs on this node; asked again until there is a master to take it. */
async function declareOn(node: NodeProcess, model: string): Promise<void> {
  const since = Date.now();
  for (;;) {
    const answer = await fetch(`${node.url}/meta_instance`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model_id: model, node_ids: [node.nodeId] }),
    });
    if (answer.status === 201) return;
    const text = await answer.text();
    if (Date.now() > since + AGREE_LIMIT_MS) throw new Error(`${model} was not taken: ${text}`);
    await lookAgain(since);
  }
}
