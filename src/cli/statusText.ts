/** The state as people read it: nodes, models, and what is wrong with what to do about it; 80 columns wide. */
import { formatBytes } from '../shared/bytes.js';
import { describeLinks } from './linkText.js';
import { clip, formatTable, printable } from './output.js';
import {
  handleOf,
  type InstanceForm,
  instancesOf,
  type NodeForm,
  nodeName,
  type RunnerForm,
  type StateForm,
  shortId,
  wishOf,
} from './stateForm.js';
import { problems } from './statusProblems.js';
import { isReplaced } from './wishText.js';

const NODE_CHARACTERS = 18;
const RUNNER_NODE_CHARACTERS = 15;
const MODEL_CHARACTERS = 19;
const PERCENT = 100;
const US_PER_MS = 1_000;

/** @param now in ms since the epoch */
export function describeState(state: StateForm, now: number): string {
  const nodes = Object.values(state.nodes).sort(byNeed(state));
  const sections = [
    formatTable(
      ['NODE', 'STATUS', 'MEMORY FREE', 'LINK', 'ID'],
      nodes.map((node) => nodeRow(state, node)),
    ),
  ];
  const rows = [
    ...Object.values(state.instances)
      .filter((instance) => !isReplaced(state, instance))
      .flatMap((instance) => instanceRows(state, instance)),
    ...Object.values(state.meta_instances)
      .filter((wish) => instancesOf(state, wish).length === 0)
      .map((wish) => [clip(wish.model_id, MODEL_CHARACTERS), wish.status, '', '', '', handleOf(state, wish)]),
  ];
  if (rows.length === 0) {
    sections.push('No model is being served. Start one with: shoal deploy MODEL');
  } else {
    sections.push(formatTable(['MODEL', 'RUNNER', 'NODE', 'REQS', 'MEMORY', 'ID'], rows));
  }
  const links = describeLinks(state);
  if (links !== null) sections.push(links);
  return printable([...sections, ...problems(state, now)].join('\n\n'));
}

/** This node, then the others by name, then those that are not alive. */
function byNeed(state: StateForm): (a: NodeForm, b: NodeForm) => number {
  const rank = (node: NodeForm) => (node.node_id === state.node_id ? 0 : node.status === 'alive' ? 1 : 2);
  return (a, b) => rank(a) - rank(b) || (a.name < b.name ? -1 : 1);
}

function nodeRow(state: StateForm, node: NodeForm): string[] {
  const { node_id: nodeId, memory } = node;
  return [
    clip(node.name, NODE_CHARACTERS),
    node.status + (nodeId === state.master_node_id ? ', master' : ''),
    memory === undefined
      ? ''
      : `${formatBytes(memory.available_bytes)} of ${formatBytes(memory.total_bytes)}`,
    nodeId === state.node_id ? 'this node' : linkText(state, node),
    shortId(nodeId),
  ];
}

/** The round trip from this node, or as the other end measures it. */
function linkText({ links, node_id: self }: StateForm, { node_id: nodeId, status }: NodeForm): string {
  const link =
    links.find(({ from, to }) => from === self && to === nodeId) ??
    links.find(({ from, to }) => from === nodeId && to === self);
  // The connection to a frozen machine stays open for a while, and carries nothing.
  if (link === undefined || status === 'dead') return 'none';
  return link.rtt_us === null ? 'linked' : `${(link.rtt_us / US_PER_MS).toFixed(2)} ms`;
}

function instanceRows(state: StateForm, instance: InstanceForm): string[][] {
  const { instance_id: instanceId } = instance;
  const handle = handleOf(state, wishOf(state, instance) ?? instance);
  const requests = Object.values(state.tasks).filter(
    (task) => task.instance_id === instanceId && task.status === 'running',
  ).length;
  return instance.shards.map(({ node_id: nodeId, runner_id: runnerId, rank, world_size: size }) => {
    const runner = state.runners[runnerId];
    const isGone = (state.nodes[nodeId]?.status ?? 'dead') === 'dead';
    const part = size > 1 ? ` ${rank + 1}/${size}` : '';
    return [
      clip(instance.model_id, MODEL_CHARACTERS - part.length) + part,
      isGone ? 'node is dead' : runnerText(runner),
      clip(nodeName(state, nodeId), RUNNER_NODE_CHARACTERS),
      String(requests),
      runner?.load == null || isGone ? '' : formatBytes(runner.load.resident_bytes),
      handle,
    ];
  });
}

function runnerText(runner: RunnerForm | undefined): string {
  if (runner === undefined) return 'starting';
  const { status, progress } = runner;
  return progress == null || progress >= 1 ? status : `${status} ${Math.round(progress * PERCENT)} %`;
}
