/** The parts of `GET /state` that the commands read, and how people name its nodes and instances. */
import { ShoalError } from '../shared/errors.js';

export interface StateForm {
  readonly node_id: string;
  readonly master_node_id: string | null;
  readonly nodes: Readonly<Record<string, NodeForm>>;
  readonly links: readonly LinkForm[];
  readonly instances: Readonly<Record<string, InstanceForm>>;
  readonly meta_instances: Readonly<Record<string, MetaInstanceForm>>;
  readonly runners: Readonly<Record<string, RunnerForm>>;
  readonly tasks: Readonly<Record<string, { readonly status: string; readonly instance_id: string }>>;
}

export interface NodeForm {
  readonly node_id: string;
  readonly name: string;
  readonly status: string;
  readonly memory?: { readonly total_bytes: number; readonly available_bytes: number };
}

/** As the node at its `from` sees it. */
export interface LinkForm {
  readonly from: string;
  readonly to: string;
  readonly rtt_us: number | null;
  readonly interface_kind?: string | null;
  readonly bandwidth_bytes_per_s?: number | null;
  readonly rdma?: boolean;
}

export interface InstanceForm {
  readonly instance_id: string;
  readonly meta_instance_id: string | null;
  /** Counts from 1: how often its runners were started anew. */
  readonly attempt: number;
  readonly model_id: string;
  readonly status: string;
  readonly shards: readonly {
    readonly rank: number;
    readonly world_size: number;
    readonly node_id: string;
    readonly runner_id: string;
    /** Layers from the one to before the other. */
    readonly start_layer: number;
    readonly end_layer: number;
  }[];
}

/** What a user wants to run. */
export interface MetaInstanceForm {
  readonly meta_instance_id: string;
  readonly model_id: string;
  readonly status: string;
  readonly consecutive_failures: number;
  readonly max_retries: number;
  readonly errors: readonly { readonly at: string; readonly node_id?: string; readonly message: string }[];
  readonly placement_error: {
    readonly message: string;
    readonly nodes: readonly { readonly node_id: string; readonly name: string; readonly reason: string }[];
  } | null;
  readonly next_attempt_at: string | null;
  /** Nodes that it failed on too often; a user's retry lets it go there again. */
  readonly avoided_nodes?: readonly string[];
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

export function wishOf(state: StateForm, instance: InstanceForm): MetaInstanceForm | null {
  return (instance.meta_instance_id && state.meta_instances[instance.meta_instance_id]) || null;
}

/** The instances of a wish; of null, those that nobody watches over. */
export function instancesOf(state: StateForm, wish: MetaInstanceForm | null): InstanceForm[] {
  return Object.values(state.instances).filter((instance) => wishOf(state, instance) === wish);
}

/** Wishes and instances that nobody watches over: what people list, and delete by id. */
export function servedEntries(state: StateForm): Readonly<Record<string, MetaInstanceForm | InstanceForm>> {
  const plain = instancesOf(state, null).map((instance) => [instance.instance_id, instance]);
  return { ...state.meta_instances, ...Object.fromEntries(plain) };
}

export function isWish(entry: MetaInstanceForm | InstanceForm): entry is MetaInstanceForm {
  return !('instance_id' in entry);
}

/** What names it in a command: the first characters of its id where they are enough. */
export function handleOf(state: StateForm, entry: MetaInstanceForm | InstanceForm): string {
  const id = isWish(entry) ? entry.meta_instance_id : entry.instance_id;
  const alike = Object.keys(servedEntries(state)).filter((other) => other.startsWith(shortId(id)));
  return alike.length > 1 ? id : shortId(id);
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
