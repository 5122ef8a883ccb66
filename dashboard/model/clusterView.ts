/** What the page says about nodes, models and runners: read off the state, without a clock or a document. */
import { isServing } from '../../src/control/runnerLife.js';
import { formatLayers, formatShare, shortId } from './format.js';
import type {
  InstanceEntry,
  LinkEntry,
  MetaInstanceEntry,
  NodeEntry,
  PageState,
  RunnerEntry,
  ShardEntry,
} from './wire.js';

export type Tone = 'good' | 'busy' | 'warning' | 'bad' | 'off';

export interface NodeCard {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly tone: Tone;
  readonly isMaster: boolean;
  /** It serves this page. */
  readonly isSelf: boolean;
  readonly memory: { readonly usedBytes: number; readonly totalBytes: number } | null;
  /** Share of the processor cores that are busy, 0 to 1. */
  readonly load: number | null;
  readonly backends: readonly string[];
  readonly lastSeen: string | null;
  readonly shards: readonly ShardChip[];
}

/** A part of a model on a node. */
export interface ShardChip {
  readonly runnerId: string;
  readonly modelId: string;
  readonly hue: number;
  /** The layers that it has, and how many the whole model has. */
  readonly startLayer: number;
  readonly endLayer: number;
  readonly allLayers: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly layers: string;
  readonly memoryBytes: number;
  readonly phase: Phase;
}

/** What a runner is doing, in words. */
export interface Phase {
  readonly text: string;
  readonly tone: Tone;
  /** 0 to 1 while something is being done whose end is known. */
  readonly progress: number | null;
  /** Share of the way to ready, 0 to 1. */
  readonly done: number;
  readonly isServing: boolean;
}

/** One line of the list of what should run: a wish with its instances, or a plain instance. */
export interface ModelEntry {
  readonly key: string;
  readonly modelId: string;
  readonly status: string;
  readonly tone: Tone;
  readonly metaInstance: MetaInstanceEntry | null;
  readonly instances: readonly InstanceEntry[];
}

const NODE_TONES: Readonly<Record<string, Tone>> = { alive: 'good', suspect: 'warning', dead: 'bad' };
const STATUS_TONES: Readonly<Record<string, Tone>> = {
  ready: 'good',
  running: 'busy',
  starting: 'busy',
  placing: 'busy',
  pending: 'warning',
  retrying: 'warning',
  stopping: 'off',
  stopped: 'off',
  failing: 'bad',
  failed: 'bad',
};
const PHASES: Readonly<Record<string, string>> = {
  spawned: 'starting',
  connecting: 'connecting',
  loading: 'loading',
  warming_up: 'warming up',
  ready: 'ready',
  running: 'at work',
  stopping: 'stopping',
  stopped: 'stopped',
  failed: 'failed',
};

export function toneOf(status: string): Tone {
  return STATUS_TONES[status] ?? 'off';
}

export function nodeName(state: PageState, nodeId: string): string {
  return state.nodes[nodeId]?.name || shortId(nodeId);
}

/** Names of the nodes that an instance is on, by rank; none when it is gone. */
export function instanceNodes(state: PageState, instanceId: string): string[] {
  const shards = state.instances[instanceId]?.shards ?? [];
  return [...new Set(shards.map(({ node_id: nodeId }) => nodeName(state, nodeId)))];
}

/** This page's node first, then those that are there, by name. */
export function nodeCards(state: PageState): NodeCard[] {
  const shards = shardsByNode(state);
  return Object.values(state.nodes)
    .map((node) => nodeCard(state, node, shards.get(node.node_id) ?? []))
    .sort((a, b) => Number(b.isSelf) - Number(a.isSelf) || compare(a.name, b.name) || compare(a.id, b.id));
}

function nodeCard(state: PageState, node: NodeEntry, shards: readonly ShardChip[]): NodeCard {
  const { memory, cpu } = node;
  const isDead = node.status === 'dead';
  return {
    id: node.node_id,
    name: node.name || shortId(node.node_id),
    status: node.is_draining && !isDead ? 'stopping' : node.status,
    tone: node.is_draining && !isDead ? 'off' : (NODE_TONES[node.status] ?? 'off'),
    isMaster: node.node_id === state.master_node_id,
    isSelf: node.node_id === state.node_id,
    memory:
      memory === undefined || isDead
        ? null
        : { usedBytes: memory.total_bytes - memory.available_bytes, totalBytes: memory.total_bytes },
    load: cpu == null || isDead ? null : Math.min(1, cpu.load_average / Math.max(1, cpu.cores)),
    backends: node.backends ?? [],
    lastSeen: node.last_seen ?? null,
    shards,
  };
}

function shardsByNode(state: PageState): Map<string, ShardChip[]> {
  const found = new Map<string, ShardChip[]>();
  for (const instance of Object.values(state.instances)) {
    for (const shard of instance.shards) {
      const chips = found.get(shard.node_id) ?? [];
      chips.push(shardChip(state, instance, shard));
      found.set(shard.node_id, chips);
    }
  }
  return found;
}

export function shardChip(state: PageState, instance: InstanceEntry, shard: ShardEntry): ShardChip {
  return {
    runnerId: shard.runner_id,
    modelId: instance.model_id,
    hue: hueOf(instance.instance_id),
    startLayer: shard.start_layer,
    endLayer: shard.end_layer,
    allLayers: Math.max(1, ...instance.shards.map(({ end_layer: end }) => end)),
    rank: shard.rank,
    worldSize: shard.world_size,
    layers: formatLayers(shard.start_layer, shard.end_layer),
    memoryBytes: shard.memory_bytes,
    phase: phaseOf(state, shard),
  };
}

/** How far a runner is in each phase; loading takes the most of the time and has a progress of its own. */
const DONE: Readonly<Record<string, number>> = {
  connecting: 0.05,
  loading: 0.1,
  warming_up: 0.9,
  ready: 1,
  running: 1,
};

/** A dead node takes its runners with it, whatever they said last. */
export function phaseOf(state: PageState, shard: ShardEntry): Phase {
  const nothing = { progress: null, done: 0, isServing: false };
  if (isGone(state, shard.node_id)) return { ...nothing, text: 'its node is gone', tone: 'bad' };
  const runner = state.runners[shard.runner_id];
  if (runner === undefined) return { ...nothing, text: 'starting', tone: 'busy' };
  const { status, progress } = runner;
  const text = PHASES[status] ?? status;
  const tone = STATUS_TONES[status] ?? 'busy';
  const done = DONE[status] ?? 0;
  if (status === 'loading' && progress != null && progress < 1) {
    const loaded = done + progress * ((DONE.warming_up as number) - done);
    return { text: `${text} ${formatShare(progress)}`, tone, progress, done: loaded, isServing: false };
  }
  return { text, tone, progress: null, done, isServing: isServing(status) };
}

/** The newest failure of a runner in words, with where and when it starts again. */
export function failureOf(state: PageState, shard: ShardEntry): RunnerFailureView | null {
  const runner: RunnerEntry | undefined = state.runners[shard.runner_id];
  if (runner?.error === undefined) return null;
  return {
    nodeName: nodeName(state, shard.node_id),
    isOver: runner.status !== 'failed',
    code: runner.error.code,
    message: runner.error.message,
    phase: runner.error.phase === undefined ? null : (PHASES[runner.error.phase] ?? runner.error.phase),
    restarts: runner.restarts,
    restartAt: runner.restart_at,
    stderrTail: runner.error.stderr_tail ?? [],
  };
}

export interface RunnerFailureView {
  readonly nodeName: string;
  /** The runner is on its way back, or is back. */
  readonly isOver: boolean;
  readonly code: string;
  readonly message: string;
  readonly phase: string | null;
  readonly restarts: number;
  readonly restartAt: string | null;
  readonly stderrTail: readonly string[];
}

/** Wishes with their instances, and the instances that nobody wished for; by model. */
export function modelEntries(state: PageState): ModelEntry[] {
  const wished = Object.values(state.meta_instances).map((wish) => ({
    key: wish.meta_instance_id,
    modelId: wish.model_id,
    status: wish.status,
    tone: toneOf(wish.status),
    metaInstance: wish,
    instances: Object.values(state.instances).filter(
      (instance) => instance.meta_instance_id === wish.meta_instance_id,
    ),
  }));
  const plain = Object.values(state.instances)
    .filter(({ meta_instance_id: owner }) => owner === null || state.meta_instances[owner] === undefined)
    .map((instance) => ({
      key: instance.instance_id,
      modelId: instance.model_id,
      status: instance.status,
      tone: toneOf(instance.status),
      metaInstance: null,
      instances: [instance],
    }));
  return [...wished, ...plain].sort((a, b) => compare(a.modelId, b.modelId) || compare(a.key, b.key));
}

/** Models that can answer, or soon will; those that are ready first. */
export function servedModels(state: PageState): { readonly modelId: string; readonly isReady: boolean }[] {
  const ready = new Map<string, boolean>();
  for (const { model_id: modelId, status } of Object.values(state.instances)) {
    ready.set(modelId, (ready.get(modelId) ?? false) || status === 'ready');
  }
  return [...ready]
    .map(([modelId, isReady]) => ({ modelId, isReady }))
    .sort((a, b) => Number(b.isReady) - Number(a.isReady) || compare(a.modelId, b.modelId));
}

/** Both directions of a link as one line of the graph, with the better-known round trip. */
export interface Edge {
  readonly from: string;
  readonly to: string;
  readonly rttUs: number | null;
  readonly kind: string | null;
  readonly bytesPerS: number | null;
  readonly rdma: boolean;
}

export function edges(state: PageState): Edge[] {
  const found = new Map<string, Edge>();
  for (const link of state.links) {
    if (isGone(state, link.from) || isGone(state, link.to)) continue;
    const [from, to] = link.from < link.to ? [link.from, link.to] : [link.to, link.from];
    const key = JSON.stringify([from, to]);
    found.set(key, { from, to, ...better(found.get(key), link) });
  }
  return [...found.values()];
}

/** A link to what is dead is none, whatever the other end measured last. */
function isGone(state: PageState, nodeId: string): boolean {
  return (state.nodes[nodeId]?.status ?? 'dead') === 'dead';
}

function better(known: Edge | undefined, link: LinkEntry): Omit<Edge, 'from' | 'to'> {
  const rtts = [known?.rttUs, link.rtt_us].filter((rtt) => rtt != null);
  const rates = [known?.bytesPerS, link.bandwidth_bytes_per_s].filter((rate) => rate != null);
  return {
    rttUs: rtts.length === 0 ? null : Math.min(...rtts),
    kind: link.interface_kind ?? known?.kind ?? null,
    bytesPerS: rates.length === 0 ? null : Math.min(...rates),
    rdma: link.rdma || known?.rdma === true,
  };
}

/** The way of the activations through a model that lies on several nodes. */
export interface PipelinePath {
  readonly instanceId: string;
  readonly modelId: string;
  readonly tone: Tone;
  /** Which of the colours it is drawn in. */
  readonly hue: number;
  /** In the order of the ranks. */
  readonly nodeIds: readonly string[];
}

export const HUES = 6;

export function pipelinePaths(state: PageState): PipelinePath[] {
  return Object.values(state.instances)
    .filter(({ shards }) => shards.length > 1)
    .map((instance) => ({
      instanceId: instance.instance_id,
      modelId: instance.model_id,
      tone: toneOf(instance.status),
      hue: hueOf(instance.instance_id),
      nodeIds: [...instance.shards].sort((a, b) => a.rank - b.rank).map(({ node_id: nodeId }) => nodeId),
    }));
}

/** The same for an instance wherever it is drawn, and for all pages. */
export function hueOf(instanceId: string): number {
  let sum = 0;
  for (const character of instanceId) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9_973;
  return sum % HUES;
}

const BY_NAME = new Intl.Collator('en', { numeric: true });

/** `node-2` before `node-10`. */
function compare(a: string, b: string): number {
  return BY_NAME.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);
}
