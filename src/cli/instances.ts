/** `shoal instances`, `shoal delete` and `shoal retry`: what users want to run, and instances that nobody watches. */
import { type ApiTarget, callApi, callJson } from './client.js';
import { clip, formatTable, printable } from './output.js';
import {
  findEntry,
  handleOf,
  type InstanceForm,
  isWish,
  type MetaInstanceForm,
  nodeName,
  type StateForm,
  servedEntries,
} from './stateForm.js';
import { nodesText, retriesText, wishProblem } from './wishText.js';

type Options = ApiTarget & { readonly json: boolean };

const MODEL_CHARACTERS = 22;
const NODES_CHARACTERS = 24;

export async function listInstances(options: Options): Promise<void> {
  const state = await callJson<StateForm>(options, '/state');
  if (options.json) {
    const { meta_instances: wishes, instances } = state;
    const all = { meta_instances: Object.values(wishes), instances: Object.values(instances) };
    process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
    return;
  }
  process.stdout.write(`${describeInstances(state, Date.now())}\n`);
}

/** @param now in ms since the epoch */
export function describeInstances(state: StateForm, now: number): string {
  const entries = Object.values(servedEntries(state));
  if (entries.length === 0) return 'There is no instance. Start one with: shoal deploy MODEL';
  const rows = entries.map((entry) => [
    handleOf(state, entry),
    clip(entry.model_id, MODEL_CHARACTERS),
    entry.status,
    retriesText(state, entry),
    clip(nodesText(state, entry), NODES_CHARACTERS),
  ]);
  const table = formatTable(['ID', 'MODEL', 'STATUS', 'RETRIES', 'NODES'], rows);
  const divided = Object.values(state.instances).filter(({ shards }) => shards.length > 1);
  const problems = entries.filter(isWish).flatMap((wish) => wishProblem(state, wish, now) ?? []);
  return printable(
    [table, ...divided.map((instance) => divisionText(state, instance)), ...problems].join('\n\n'),
  );
}

/** Which layers are where, and how far each node is. */
function divisionText(state: StateForm, instance: InstanceForm): string {
  const lines = instance.shards.map(({ node_id: nodeId, runner_id: runnerId, ...shard }) => {
    const status = state.runners[runnerId]?.status ?? 'starting';
    const layers = `layers ${shard.start_layer} to ${shard.end_layer - 1}`;
    return `  ${clip(nodeName(state, nodeId), NODES_CHARACTERS)}: ${layers}, ${status}`;
  });
  return [`${clip(instance.model_id, MODEL_CHARACTERS)} is divided:`, ...lines].join('\n');
}

const nameOf = ({ model_id: modelId }: { readonly model_id: string }): string => modelId;

/** @param wanted id, its first characters, or the name of a model that is served once */
export async function deleteInstance(wanted: string, options: Options): Promise<void> {
  const state = await callJson<StateForm>(options, '/state');
  const entry = findServed(state, wanted);
  const id = idOf(entry);
  const path = `/${isWish(entry) ? 'meta_instance' : 'instance'}/${encodeURIComponent(id)}`;
  const answer = await (await callApi(options, path, { method: 'DELETE' })).text();
  process.stdout.write(options.json ? `${answer}\n` : `${deletedText(entry)}\n`);
}

/** An instance of a wish is found by its whole id alone: what people mean is the wish. */
function findServed(state: StateForm, wanted: string): MetaInstanceForm | InstanceForm {
  const watched = Object.hasOwn(state.instances, wanted) ? state.instances[wanted] : undefined;
  return watched ?? findEntry(servedEntries(state), wanted, { kind: 'instance', nameOf }).entry;
}

function idOf(entry: MetaInstanceForm | InstanceForm): string {
  return isWish(entry) ? entry.meta_instance_id : entry.instance_id;
}

function deletedText(entry: MetaInstanceForm | InstanceForm): string {
  const model = printable(entry.model_id);
  if (isWish(entry)) {
    return `MetaInstance ${idOf(entry)} of ${model} is taken back; its runners are being stopped.`;
  }
  const { meta_instance_id: wishId } = entry;
  const again = wishId ? `\nA new one is made: MetaInstance ${wishId} wants it.` : '';
  return `Instance ${idOf(entry)} of ${model} is deleted; its runners are being stopped.${again}`;
}

/** @param wanted id, its first characters, or the name of a model that is wanted once */
export async function retryMetaInstance(wanted: string, options: Options): Promise<void> {
  const state = await callJson<StateForm>(options, '/state');
  const { id, entry } = findEntry(state.meta_instances, wanted, { kind: 'MetaInstance', nameOf });
  const path = `/meta_instance/${encodeURIComponent(id)}/retry`;
  const answer = await (await callApi(options, path, { method: 'POST' })).text();
  process.stdout.write(
    options.json
      ? `${answer}\n`
      : `${printable(entry.model_id)} is tried again. How far it is: shoal status\n`,
  );
}
