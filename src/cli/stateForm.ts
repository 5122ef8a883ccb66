/** The parts of `GET /state` that the commands read, and how people name its nodes and instances. */
import { ShoalError } from '../shared/errors.js';

export interface StateForm {
  readonly node_id: string;
  readonly master_node_id: string | null;
  readonly nodes: Readonly<Record<string, NodeForm>>;
  readonly links: readonly LinkForm[];
  readonly instances: Readonly<Record<string, InstanceForm>>;
  readonly runners: Readonly<Record<string, RunnerForm>>;
  readonly tasks: Readonly<Record<string, { readonly status: string; readonly instance_id: string }>>;
}

export interface NodeForm {
  readonly node_id: string;
  readonly name: string;
  readonly status: string;
  readonly memory?: { readonly total_bytes: number; readonly available_bytes: number };
}

interface LinkForm {
  readonly from: string;
  readonly to: string;
  readonly rtt_us: number | null;
}

export interface InstanceForm {
  readonly instance_id: string;
  readonly model_id: string;
  readonly status: string;
  readonly shards: readonly { readonly node_id: string; readonly runner_id: string }[];
}

export interface RunnerForm {
  readonly status: string;
  readonly progress?: number | null;
  readonly restarts: number;
  readonly restart_at: string | null;
  readonly load?: { readonly resident_bytes: number } | null;
  readonly error?: { readonly message: string; readonly stderr_tail?: readonly string[] };
}

/** The first characters of an id: enough to tell it from others, and for commands to find it again. */
const SHORT_ID_CHARACTERS = 8;

export const shortId = (id: string): string => id.slice(0, SHORT_ID_CHARACTERS);

export function nodeName(state: Pick<StateForm, 'nodes'>, nodeId: string): string {
  return state.nodes[nodeId]?.name ?? shortId(nodeId);
}

/**
 * The one that people mean by an id, by its first characters, or by a name.
 * @throws {ShoalError} `not_found` when there is none, `invalid_request` when there are several
 */
export function findEntry<Entry>(
  entries: Readonly<Record<string, Entry>>,
  wanted: string,
  naming: { readonly kind: string; readonly nameOf: (entry: Entry) => string },
): { readonly id: string; readonly entry: Entry } {
  const all = Object.entries(entries).map(([id, entry]) => ({ id, entry }));
  const exact = all.filter(({ id }) => id === wanted);
  const byName = all.filter(({ entry }) => naming.nameOf(entry) === wanted);
  const byStart = wanted === '' ? [] : all.filter(({ id }) => id.startsWith(wanted));
  const found = [exact, byName, byStart].find((candidates) => candidates.length > 0) ?? [];
  const [only] = found;
  if (only === undefined) {
    throw new ShoalError('not_found', `there is no ${naming.kind} "${wanted}"; see \`shoal status\``);
  }
  if (found.length > 1) {
    const ids = found.map(({ id }) => id).join(', ');
    throw new ShoalError(
      'invalid_request',
      `"${wanted}" is more than one ${naming.kind}: ${ids}; name one by its id`,
    );
  }
  return only;
}
