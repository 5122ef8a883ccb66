/** `shoal forget`: drops the record of a dead node. */
import { type ApiTarget, callApi, callJson } from './client.js';
import { printable } from './output.js';
import { findEntry, type StateForm } from './stateForm.js';

/** @param wanted name, id, or the first characters of the id */
export async function forget(wanted: string, options: ApiTarget & { readonly json: boolean }): Promise<void> {
  const { nodes } = await callJson<StateForm>(options, '/state');
  const { id, entry } = findEntry(nodes, wanted, { kind: 'node', nameOf: ({ name }) => name });
  const response = await callApi(options, `/nodes/${encodeURIComponent(id)}/forget`, { method: 'POST' });
  const answer = await response.text();
  process.stdout.write(
    options.json ? `${answer}\n` : `Node ${printable(entry.name)} (${id}) is forgotten.\n`,
  );
}
