/** What is wrong with the cluster, and what to do about each of it. */
import { clip } from './output.js';
import {
  type InstanceForm,
  type NodeForm,
  nodeName,
  type RunnerForm,
  type StateForm,
  wishOf,
} from './stateForm.js';
import { isReplaced, wishProblem } from './wishText.js';

const SHOWN_STDERR_LINES = 5;
const NAME_CHARACTERS = 30;

/** A name of another machine, on one line: it shall not look like a line of its own. */
const named = ({ name }: { readonly name: string }): string => clip(name, NAME_CHARACTERS);

/** @param now in ms since the epoch */
export function problems(state: StateForm, now: number): string[] {
  return [
    ...masterProblems(state),
    ...Object.values(state.nodes).flatMap((node) => nodeProblems(state, node)),
    ...linkProblems(state),
    ...Object.values(state.instances).flatMap((instance) => runnerProblems(state, instance, now)),
    ...Object.values(state.meta_instances).flatMap((wish) => wishProblem(state, wish, now) ?? []),
  ];
}

function masterProblems({ master_node_id: masterId, nodes }: StateForm): string[] {
  const master = masterId === null ? undefined : nodes[masterId];
  if (master !== undefined && master.status !== 'dead') return [];
  return [
    'No node leads the cluster right now. The nodes choose one among themselves within\n' +
      'seconds; requests wait for it. What is shown here is the last that this node knew.',
  ];
}

function nodeProblems(state: StateForm, node: NodeForm): string[] {
  const { node_id: nodeId, name, status } = node;
  if (status === 'suspect') {
    return [
      `Node ${named(node)} does not answer just now. It is given up within a second, or is back by then.`,
    ];
  }
  if (status !== 'dead') return [];
  const models = Object.values(state.instances)
    .filter((instance) => instance.shards.some((shard) => shard.node_id === nodeId))
    .filter((instance) => !isReplaced(state, instance))
    .map(({ model_id: modelId }) => modelId);
  const lost = models.length === 0 ? '' : `\n  With it went: ${[...new Set(models)].join(', ')}.`;
  return [
    `Node ${named(node)} is dead: it was stopped, or no other node reaches it.${lost}\n` +
      '  When it runs and is reachable again it comes back by itself. If it is gone for\n' +
      `  good: shoal forget ${isPlain(state, name) ? name : nodeId}`,
  ];
}

/** Does the name stand for one node alone, and for itself in every shell? */
function isPlain({ nodes }: StateForm, name: string): boolean {
  return /^\w[\w.-]*$/.test(name) && Object.values(nodes).filter((node) => node.name === name).length === 1;
}

/** A pair of living nodes without a link can serve each other nothing. Only nodes whose links are known count. */
function linkProblems(state: StateForm): string[] {
  const alive = Object.values(state.nodes).filter(({ status }) => status === 'alive');
  const telling = new Set([state.node_id, ...state.links.map(({ from }) => from)]);
  const linked = new Set(state.links.flatMap(({ from, to }) => [`${from} ${to}`, `${to} ${from}`]));
  return alive.flatMap((a, index) =>
    alive
      .slice(index + 1)
      .filter((b) => telling.has(a.node_id) || telling.has(b.node_id))
      .filter((b) => !linked.has(`${a.node_id} ${b.node_id}`))
      .map(
        (b) =>
          `Nodes ${named(a)} and ${named(b)} have no link with each other, so neither can use the other's models.\n` +
          '  They try again by themselves. A firewall may stand between them: on both, the\n' +
          '  port of --peer-port (52416) must be open to the other.',
      ),
  );
}

function runnerProblems(state: StateForm, instance: InstanceForm, now: number): string[] {
  const wish = wishOf(state, instance);
  // What is said of the wish has it all.
  if (wish !== null && wish.errors.length > 0 && wishProblem(state, wish, now) !== null) return [];
  return instance.shards.flatMap(({ node_id: nodeId, runner_id: runnerId }) => {
    const runner = state.runners[runnerId];
    if (runner?.error === undefined || state.nodes[nodeId]?.status === 'dead') return [];
    const tail = (runner.error.stderr_tail ?? []).slice(-SHOWN_STDERR_LINES).map((line) => `    ${line}`);
    const what = `${instance.model_id} on ${named({ name: nodeName(state, nodeId) })}: ${runner.error.message}`;
    return [[what, `  ${whatNext(runner, wish !== null)}`, ...tail].join('\n')];
  });
}

function whatNext(runner: RunnerForm, isWatched: boolean): string {
  if (runner.status !== 'failed') return `Since then it is ${runner.status} again.`;
  if (isWatched) return 'It is started anew by itself, here or on another node.';
  return runner.restart_at === null
    ? 'It is not started again: the limit of restarts is reached. Restart its node when\n  the cause is gone.'
    : `It is started again at ${runner.restart_at}.`;
}
