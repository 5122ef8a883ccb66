/** What a person fills in to have a model run, and what is sent for it. */
export interface WishForm {
  readonly modelId: string | null;
  readonly sharding: 'Pipeline' | 'Tensor';
  readonly transport: 'Ring' | 'Mesh';
  readonly minNodes: number | null;
  /** Empty = wherever it fits best. */
  readonly nodeIds: readonly string[];
  readonly contextLength: number | null;
  readonly maxSequences: number | null;
  /** As a wish, which is made anew when it is lost; else once. */
  readonly isKept: boolean;
}

export const EMPTY_FORM: WishForm = {
  modelId: null,
  sharding: 'Pipeline',
  transport: 'Ring',
  minNodes: null,
  nodeIds: [],
  contextLength: null,
  maxSequences: null,
  isKept: true,
};

/** The body of `POST /meta_instance` and `POST /place_instance`; what is left empty is left to the node. */
export function wishBody(form: WishForm): Readonly<Record<string, unknown>> {
  const { modelId, sharding, transport, minNodes, nodeIds, contextLength, maxSequences } = form;
  return {
    model_id: modelId,
    sharding,
    transport,
    ...(minNodes === null || nodeIds.length > 0 ? {} : { min_nodes: minNodes }),
    ...(nodeIds.length === 0 ? {} : { node_ids: nodeIds }),
    ...(contextLength === null ? {} : { context_length: contextLength }),
    ...(maxSequences === null ? {} : { max_sequences: maxSequences }),
  };
}

/** The same for `GET /instance/placement` and `/instance/previews`. */
export function wishQuery(form: WishForm): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(wishBody(form))) {
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  return query.toString();
}

export function toggleNode(form: WishForm, nodeId: string): WishForm {
  const { nodeIds } = form;
  return {
    ...form,
    nodeIds: nodeIds.includes(nodeId) ? nodeIds.filter((id) => id !== nodeId) : [...nodeIds, nodeId],
  };
}
