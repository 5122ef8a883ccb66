/** `shoal status`: the state of the cluster in one look, with what is wrong and what to do. */
import { type ApiTarget, callJson } from './client.js';
import type { StateForm } from './stateForm.js';
import { describeState } from './statusText.js';

export async function status(options: ApiTarget & { readonly json: boolean }): Promise<void> {
  const state = await callJson<StateForm>(options, '/state');
  process.stdout.write(
    options.json ? `${JSON.stringify(state, null, 2)}\n` : `${describeState(state, Date.now())}\n`,
  );
}
