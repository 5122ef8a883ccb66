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
} from './stateForm.js';

const COLUMNS = 80;
const NAME_CHARACTERS = 30;
const MODEL_CHARACTERS = 40;
const SHOWN_ERRORS = 3;

/** Why it is not served and what comes next, or what to do; null when there is nothing to say. */
export function wishProblem(state: StateForm, wish: MetaInstanceForm): string | null {
  const { status, errors, placement_error: problem, consecutive_failures: failures } = wish;
  const handle = handleOf(state, wish);
  const model = clip(wish.model_id, MODEL_CHARACTERS);
  if (status === 'ready') return null;
  if (status === 'failed') {
    return [
      `${model} failed too often and is not tried any more. Its last failures:`,
      ...errors.slice(-SHOWN_ERRORS).map(failureText),
      `  When the cause is gone: shoal retry ${handle}`,
      `  If it is not wanted any more: shoal delete ${handle}`,
    ].join('\n');
  }
  if (problem !== null) {
    return [
      `${model} is waiting: there is no place for it.`,
      wrap(problem.message, COLUMNS, '  '),
      ...problem.nodes.map(({ name, reason }) =>
        wrap(`${clip(name, NAME_CHARACTERS)}: ${reason}`, COLUMNS, '    '),
      ),
      '  It starts by itself as soon as it fits. If it is not wanted any more:',
      `  shoal delete ${handle}`,
    ].join('\n');
  }
  const last = errors.at(-1);
  if (failures === 0 || last === undefined) return null;
  return [
    `${model} is tried again: ${failures === 1 ? 'one failure' : `${failures} failures in a row`}, the last one:`,
    failureText(last),
    `  ${wish.next_attempt_at === null ? 'It is being started now.' : `Next attempt: ${wish.next_attempt_at}`}`,
  ].join('\n');
}

/** The message names the node by itself. */
function failureText({ at, message }: MetaInstanceForm['errors'][number]): string {
  return wrap(`${at} ${message}`, COLUMNS, '    ');
}

/** How often it was started anew where it is, of how often it may be; nothing for what nobody watches over. */
export function retriesText(state: StateForm, entry: MetaInstanceForm | InstanceForm): string {
  if (!isWish(entry)) return '';
  const { consecutive_failures: failures, max_retries: most } = entry;
  const [instance] = instancesOf(state, entry);
  return `${instance === undefined ? Math.min(failures, most) : instance.attempt - 1}/${most}`;
}

/** The names of the nodes that it is on. */
export function nodesText(state: StateForm, entry: MetaInstanceForm | InstanceForm): string {
  const instances = isWish(entry) ? instancesOf(state, entry) : [entry];
  const nodeIds = instances.flatMap(({ shards }) => shards.map(({ node_id: nodeId }) => nodeId));
  return [...new Set(nodeIds)].map((nodeId) => clip(nodeName(state, nodeId), NAME_CHARACTERS)).join(', ');
}

/** What became of a wish that was just made. */
export function wishOutcome(state: StateForm, wish: MetaInstanceForm): string {
  const handle = handleOf(state, wish);
  const nodes = nodesText(state, wish);
  const where = nodes === '' ? '' : ` on ${nodes}`;
  const model = clip(wish.model_id, MODEL_CHARACTERS);
  const problem = wishProblem(state, wish);
  return [
    `${model} is declared (${wish.meta_instance_id}): ${wish.status}${where}.`,
    ...(problem === null ? [] : [problem]),
    `How far it is: shoal status. To take it back: shoal delete ${handle}`,
  ].join('\n');
}
