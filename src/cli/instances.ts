/** `shoal instances` and `shoal delete`. */
import { type ApiTarget, callApi, callJson } from './client.js';
import { clip, formatTable, printable } from './output.js';
import { findEntry, nodeName, type StateForm } from './stateForm.js';

type Options = ApiTarget & { readonly json: boolean };

const MODEL_CHARACTERS = 22;

export async function listInstances(options: Options): Promise<void> {
  const state = await callJson<StateForm>(options, '/state');
  const instances = Object.values(state.instances);
  if (options.json) {
    process.stdout.write(`${JSON.stringify(instances, null, 2)}\n`);
    return;
  }
  if (instances.length === 0) {
    process.stdout.write('There is no instance. Start one with: shoal up --serve MODEL\n');
    return;
  }
  const rows = instances.map(({ instance_id: instanceId, model_id: modelId, status, shards }) => [
    instanceId,
    clip(modelId, MODEL_CHARACTERS),
    status,
    [...new Set(shards.map(({ node_id: nodeId }) => nodeName(state, nodeId)))].join(', '),
  ]);
  process.stdout.write(`${formatTable(['ID', 'MODEL', 'STATUS', 'NODES'], rows)}\n`);
}

/** @param wanted id, its first characters, or the name of a model with one instance */
export async function deleteInstance(wanted: string, options: Options): Promise<void> {
  const { instances } = await callJson<StateForm>(options, '/state');
  const { id, entry } = findEntry(instances, wanted, {
    kind: 'instance',
    nameOf: ({ model_id: modelId }) => modelId,
  });
  const response = await callApi(options, `/instance/${encodeURIComponent(id)}`, { method: 'DELETE' });
  const answer = await response.text();
  process.stdout.write(
    options.json
      ? `${answer}\n`
      : `Instance ${id} of ${printable(entry.model_id)} is deleted; its runners are being stopped.\n`,
  );
}
