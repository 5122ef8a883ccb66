/** `shoal deploy`: says what shall run, and where it went. */
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiTarget, callJson, makeOnce } from './client.js';
import { printable } from './output.js';
import { findEntry, type StateForm } from './stateForm.js';
import { wishOutcome } from './wishText.js';

/** Placing takes a moment; what takes longer is told by `shoal status`. */
const PLACING_MS = 5_000;
const LOOK_MS = 200;

export interface DeployOptions extends ApiTarget {
  readonly json: boolean;
  readonly sharding?: string;
  readonly transport?: string;
  readonly minNodes?: number;
  /** Names, ids, or first characters of ids. */
  readonly nodes?: readonly string[];
  readonly context?: number;
  readonly sequences?: number;
}

export async function deploy(model: string, options: DeployOptions): Promise<void> {
  const { sharding, transport, minNodes, nodes, context, sequences } = options;
  const body = {
    model_id: model,
    sharding,
    transport,
    min_nodes: minNodes,
    node_ids: nodes === undefined ? undefined : await nodeIds(options, nodes),
    context_length: context,
    max_sequences: sequences,
  };
  const taken = await makeOnce<{ meta_instance_id: string }>(options, '/meta_instance', body);
  const state = await whenPlaced(options, taken.meta_instance_id);
  const wish = state.meta_instances[taken.meta_instance_id];
  if (options.json) {
    const answer = { meta_instance_id: taken.meta_instance_id, meta_instance: wish ?? null };
    process.stdout.write(`${JSON.stringify(answer, null, 2)}\n`);
  } else {
    const outcome =
      wish === undefined ? `${model} was taken back again.` : wishOutcome(state, wish, Date.now());
    process.stdout.write(`${printable(outcome)}\n`);
  }
}

async function nodeIds(target: ApiTarget, names: readonly string[]): Promise<string[]> {
  const { nodes } = await callJson<StateForm>(target, '/state');
  return names.map((wanted) => findEntry(nodes, wanted, { kind: 'node', nameOf: ({ name }) => name }).id);
}

/** The state as soon as it says what became of the wish, or after a while. */
async function whenPlaced(target: ApiTarget, id: string): Promise<StateForm> {
  const endsAt = performance.now() + PLACING_MS;
  for (;;) {
    const state = await callJson<StateForm>(target, '/state');
    const isPlaced = state.meta_instances[id]?.status !== 'placing';
    if (isPlaced || performance.now() >= endsAt) return state;
    await sleep(LOOK_MS);
  }
}
