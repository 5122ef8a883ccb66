/** What users want to run, in words: how far it is, why it is not served, and what to do. */
import { clip, wrap } from './output.js';
import {
  handleOf,
  type InstanceForm,
  instancesOf,
  isWish,
  type MetaInstanceForm,
  nodeName,
  type StateForm,
  wishOf,
} from './stateForm.js';

const COLUMNS = 80;
const NAME_CHARACTERS = 30;
const MODEL_CHARACTERS = 40;
const SHOWN_ERRORS = 3;
const SHOWN_STDERR_LINES = 5;
const MS_PER_S = 1_000;

/**
 * Why it is not served and what comes next, or what to do; null when there is nothing to say.
 * @param now in ms since the epoch
 */
export function wishProblem(state: StateForm, wish: MetaInstanceForm, now: number): string | null {
  const { status, errors, placement_error: problem, consecutive_failures: failures } = wish;
  const handle = handleOf(state, wish);
  const model = clip(wish.model_id, MODEL_CHARACTERS);
  if (status === 'ready') return null;
  if (status === 'failed') {
    return [
      `${model} failed too often and is not tried any more. Its last failures:`,
      ...errors.slice(-SHOWN_ERRORS).map(failureText),
      ...lastWords(state, wish),
      `  When the cause is gone: shoal retry ${handle}`,
      `  If it is not wanted any more: shoal delete ${handle}`,
    ].join('\n');
  }
  const gone = goneNodes(state, wish);
  if (problem !== null) {
    return [
      gone === null
        ? `${model} is waiting: there is no place for it.`
        : `${model} is waiting: ${gone}, and there is no other place for it.`,
      wrap(problem.message, COLUMNS, '  '),
      ...problem.nodes.map(({ name, reason }) =>
        wrap(`${clip(name, NAME_CHARACTERS)}: ${reason}`, COLUMNS, '    '),
      ),
      ...((wish.avoided_nodes ?? []).length === 0
        ? []
        : [`  To have it tried where it failed, too: shoal retry ${handle}`]),
      '  It starts by itself as soon as it fits. If it is not wanted any more:',
      `  shoal delete ${handle}`,
    ].join('\n');
  }
  if (gone !== null) {
    return [
      `${model} is waiting: ${gone}.`,
      '  It goes on when that is back. If that takes longer than some seconds, it is',
      '  placed on another node where it fits.',
    ].join('\n');
  }
  const last = errors.at(-1);
  if (failures === 0 || last === undefined) return null;
  return [
    `${model} is tried again: ${failures === 1 ? 'one failure' : `${failures} failures in a row`}, the last one:`,
    failureText(last),
    ...lastWords(state, wish),
    `  ${nextAttempt(wish, now)}`,
  ].join('\n');
}

/** The nodes that are gone with its instances, in words; null while one is left that may serve. */
function goneNodes(state: StateForm, wish: MetaInstanceForm): string | null {
  const instances = instancesOf(state, wish);
  if (instances.length === 0 || instances.some((one) => !isLost(state, one))) return null;
  const gone = new Set(instances.flatMap(({ shards }) => shards.map(({ node_id: nodeId }) => nodeId)));
  const names = [...gone].filter((nodeId) => isDead(state, nodeId)).map((nodeId) => shownName(state, nodeId));
  return names.length === 1 ? `its node ${names[0]} is gone` : `its nodes ${names.join(', ')} are gone`;
}

function nextAttempt({ next_attempt_at: at }: MetaInstanceForm, now: number): string {
  if (at === null) return 'It is being started now.';
  // The clock of the node that said so may be another one.
  const seconds = Math.max(0, Math.ceil((Date.parse(at) - now) / MS_PER_S));
  return `Next attempt ${seconds === 0 ? 'now' : `in ${seconds} s`} (${at}).`;
}

/** What the runners that failed wrote last: the engine often says there what is wrong. */
function lastWords(state: StateForm, wish: MetaInstanceForm): string[] {
  const [tail = []] = instancesOf(state, wish)
    .flatMap(({ shards }) => shards.map(({ runner_id: runnerId }) => state.runners[runnerId]))
    .map((runner) => runner?.error?.stderr_tail ?? [])
    .filter((lines) => lines.length > 0);
  return tail.length === 0
    ? []
    : ['  Its last lines were:', ...tail.slice(-SHOWN_STDERR_LINES).map((line) => `    ${line}`)];
}

const isDead = (state: StateForm, nodeId: string): boolean =>
  (state.nodes[nodeId]?.status ?? 'dead') === 'dead';

/** Is a node of it gone? */
const isLost = (state: StateForm, { shards }: InstanceForm): boolean =>
  shards.some(({ node_id: nodeId }) => isDead(state, nodeId));

/** Left to a lost node, which may serve others with it, while the wish is served elsewhere. */
export function isReplaced(state: StateForm, instance: InstanceForm): boolean {
  return isLost(state, instance) && wishOf(state, instance)?.status === 'ready';
}

const shownName = (state: StateForm, nodeId: string): string =>
  clip(nodeName(state, nodeId), NAME_CHARACTERS);

/** The message names the node by itself. */
function failureText({ at, message }: MetaInstanceForm['errors'][number]): string {
  return wrap(`${at} ${message}`, COLUMNS, '    ');
}

/** How often it was started anew where it is, of how often it may be; nothing for what nobody watches over. */
export function retriesText(state: StateForm, entry: MetaInstanceForm | InstanceForm): string {
  if (!isWish(entry)) return '';
  const { consecutive_failures: failures, max_retries: most } = entry;
  const instance = instancesOf(state, entry).find((one) => !isReplaced(state, one));
  // Neither machines that went and came back nor what is forgiven takes one away.
  return `${Math.min(failures, instance === undefined ? most : instance.attempt - 1)}/${most}`;
}

/** The names of the nodes that it is on. */
export function nodesText(state: StateForm, entry: MetaInstanceForm | InstanceForm): string {
  const instances = isWish(entry) ? instancesOf(state, entry) : [entry];
  const shown = instances.filter((instance) => !isReplaced(state, instance));
  const nodeIds = shown.flatMap(({ shards }) => shards.map(({ node_id: nodeId }) => nodeId));
  return [...new Set(nodeIds)].map((nodeId) => shownName(state, nodeId)).join(', ');
}

/** What became of a wish that was just made. */
export function wishOutcome(state: StateForm, wish: MetaInstanceForm, now: number): string {
  const handle = handleOf(state, wish);
  const nodes = nodesText(state, wish);
  const where = nodes === '' ? '' : ` on ${nodes}`;
  const model = clip(wish.model_id, MODEL_CHARACTERS);
  const problem = wishProblem(state, wish, now);
  return [
    `${model} is declared (${wish.meta_instance_id}): ${wish.status}${where}.`,
    ...(problem === null ? [] : [problem]),
    `How far it is: shoal status. To take it back: shoal delete ${handle}`,
  ].join('\n');
}
