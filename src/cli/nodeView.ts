/** What the API shows of this node and its cluster: the replicated state with everybody's newest measured values. */
import { randomUUID } from 'node:crypto';
import type { NodeView } from '../api/ports.js';
import type { AppliedEvent, ClusterNode } from '../cluster/clusterNode.js';
import type { Register } from '../cluster/registerForm.js';
import type { Registers } from '../cluster/registers.js';
import { type LinkView, type Telemetry, viewEvent, viewState } from '../control/view.js';
import { bareListing, type ModelListing } from '../models/listing.js';
import type { ModelId, NodeId, RunnerId } from '../shared/ids.js';

export interface NodeViewComponents {
  readonly cluster: ClusterNode;
  readonly registers: Registers;
  /** Looks at this machine. */
  readonly readRegister: () => Register;
  /** Models on this machine. */
  readonly models: () => Promise<readonly ModelListing[]>;
  readonly lastHour: NodeView['lastHour'];
  /** Metrics in the Prometheus text format. */
  readonly metrics: () => Promise<string>;
}

export function createNodeView(nodeId: NodeId, components: NodeViewComponents): NodeView {
  const { cluster } = components;
  const state = () => viewState(cluster.state, readTelemetry(nodeId, components), nodeId);
  return {
    nodeId,
    historyId: randomUUID(),
    state,
    followEvents: (since, listener) => {
      const tell = (applied: AppliedEvent) =>
        listener({ index: applied.index, event: viewEvent(applied.event) });
      const tellAll = () => listener({ index: cluster.state.index, state: state() });
      const missed = since === null ? [] : cluster.eventsSince(since);
      if (missed === null) tellAll();
      else for (const applied of missed) tell(applied);
      return cluster.listen({ applied: tell, replaced: tellAll });
    },
    notReadyReason: () =>
      cluster.isUpToDate
        ? null
        : `it is ${cluster.role} and has not the state of a master of its cluster yet`,
    models: async () => withModelsElsewhere(await components.models(), cluster),
    lastHour: components.lastHour,
    metrics: components.metrics,
  };
}

function readTelemetry(self: NodeId, { cluster, registers, readRegister }: NodeViewComponents): Telemetry {
  const nodes = new Map<NodeId, Readonly<Record<string, unknown>>>();
  const runners = new Map<RunnerId, Readonly<Record<string, unknown>>>();
  const links: LinkView[] = [];
  const now = Date.now();
  for (const nodeId of cluster.state.nodes.keys()) {
    const heard = nodeId === self ? { register: readRegister(), at: now } : registers.of(nodeId);
    if (heard === null) continue;
    const { memory, cpu, speed, apiUrl } = heard.register;
    nodes.set(nodeId, {
      memory,
      cpu,
      speed,
      apiUrl,
      backends: backendsOf(heard.register),
      lastSeen: new Date(heard.at).toISOString(),
    });
    for (const [runnerId, facts] of Object.entries(heard.register.runners))
      runners.set(runnerId as RunnerId, facts);
    for (const link of heard.register.links) links.push({ from: nodeId, ...link });
  }
  return { nodes, runners, links };
}

/** The processor, and what else the models of a node have been found to compute on. */
export function backendsOf({ runners }: Pick<Register, 'runners'>): string[] {
  const devices = Object.values(runners).flatMap(({ model }) => {
    const named = (model as { readonly backends?: unknown } | null)?.backends;
    return Array.isArray(named) ? named.filter((name) => typeof name === 'string') : [];
  });
  return [...new Set(['cpu', ...devices.map((name) => name.toLowerCase())])];
}

/** A model that another node serves can be called here as well, whether or not its file is here. */
function withModelsElsewhere(
  local: readonly ModelListing[],
  { state }: ClusterNode,
): readonly ModelListing[] {
  const known = new Set<ModelId>(local.map(({ modelId }) => modelId));
  const served = new Set([...state.instances.values()].map(({ modelId }) => modelId));
  const elsewhere = [...served].filter((modelId) => !known.has(modelId));
  const usable = local.map((listing) =>
    listing.refusal !== null && served.has(listing.modelId) ? { ...listing, refusal: null } : listing,
  );
  return [...usable, ...elsewhere.map((modelId) => bareListing({ modelId, path: '', refusal: null }))];
}
