/** Which models can be run, and which fit where: a first look by their size. What placement says of one counts more. */
import { formatBytes } from '../../src/shared/bytes.js';
import { nodeName, type Tone } from './clusterView.js';
import { plural } from './format.js';
import type { PageState } from './wire.js';

/** A model of `GET /models`, as far as the page looks into it. */
export interface ModelEntryJson {
  readonly id: string;
  readonly embedded: boolean;
  readonly downloaded: boolean;
  readonly size_bytes: number;
  readonly quantisation: string | null;
  readonly parameters: number | null;
  readonly layers: number | null;
  readonly context_length: number | null;
  readonly memory: { readonly total_bytes: number } | null;
  readonly refusal: string | null;
}

export type Fit = 'now' | 'together' | 'later' | 'unknown' | 'never' | 'refused';

export interface ModelChoice {
  readonly modelId: string;
  readonly origin: 'comes with Shoal' | 'file here' | 'file on another machine';
  /** What is known of it, in short pieces. */
  readonly facts: readonly string[];
  readonly fit: Fit;
  /** Why, in a sentence. */
  readonly why: string;
  readonly layers: number | null;
  readonly contextTokens: number | null;
}

export const FITS: readonly { readonly fit: Fit; readonly name: string; readonly tone: Tone }[] = [
  { fit: 'now', name: 'Fits now', tone: 'good' },
  { fit: 'together', name: 'Fits over several machines', tone: 'good' },
  { fit: 'later', name: 'Fits when memory is free again', tone: 'warning' },
  { fit: 'unknown', name: 'On another machine', tone: 'off' },
  { fit: 'never', name: 'Too large for this cluster', tone: 'bad' },
  { fit: 'refused', name: 'Cannot be run', tone: 'bad' },
];

export interface NodeRoom {
  readonly nodeId: string;
  readonly name: string;
  readonly offeredBytes: number;
  /** What the instances that are placed there leave. */
  readonly freeBytes: number;
}

/** Nodes that can take a model, the one with the most room first. */
export function roomOfNodes(state: PageState): NodeRoom[] {
  const taken = new Map<string, number>();
  for (const { shards } of Object.values(state.instances)) {
    for (const { node_id: nodeId, memory_bytes: bytes } of shards)
      taken.set(nodeId, (taken.get(nodeId) ?? 0) + bytes);
  }
  return Object.values(state.nodes)
    .filter((node) => node.status === 'alive' && !node.is_draining && (node.memory_bytes ?? 0) > 0)
    .map(({ node_id: nodeId, memory_bytes: offeredBytes = 0 }) => ({
      nodeId,
      name: nodeName(state, nodeId),
      offeredBytes,
      freeBytes: Math.max(0, offeredBytes - (taken.get(nodeId) ?? 0)),
    }))
    .sort((a, b) => b.freeBytes - a.freeBytes);
}

/** The models of this node, and those whose files others hold; what fits best first. */
export function modelChoices(models: readonly ModelEntryJson[], state: PageState): ModelChoice[] {
  const rooms = roomOfNodes(state);
  const here = models.filter(({ downloaded }) => downloaded);
  const known = new Set(here.map(({ id }) => id));
  const elsewhere = new Map<string, string[]>();
  for (const node of Object.values(state.nodes)) {
    for (const modelId of node.models ?? []) {
      if (known.has(modelId)) continue;
      elsewhere.set(modelId, [...(elsewhere.get(modelId) ?? []), nodeName(state, node.node_id)]);
    }
  }
  const order = (fit: Fit) => FITS.findIndex((one) => one.fit === fit);
  return [
    ...here.map((model) => choiceHere(model, rooms)),
    ...[...elsewhere].map(([modelId, holders]) => choiceElsewhere(modelId, holders)),
  ].sort((a, b) => order(a.fit) - order(b.fit) || (a.modelId < b.modelId ? -1 : 1));
}

function choiceHere(model: ModelEntryJson, rooms: readonly NodeRoom[]): ModelChoice {
  return {
    modelId: model.id,
    origin: model.embedded ? 'comes with Shoal' : 'file here',
    facts: [
      ...(model.parameters === null ? [] : [`${formatParameters(model.parameters)} parameters`]),
      ...(model.quantisation === null ? [] : [model.quantisation]),
      ...(model.size_bytes > 0 ? [formatBytes(model.size_bytes)] : []),
    ],
    layers: model.layers,
    contextTokens: model.context_length,
    ...fitOf(model, rooms),
  };
}

function choiceElsewhere(modelId: string, holders: readonly string[]): ModelChoice {
  return {
    modelId,
    origin: 'file on another machine',
    facts: [],
    layers: null,
    contextTokens: null,
    fit: 'unknown',
    why: `${holders.slice(0, 3).join(', ')}${holders.length > 3 ? ` and ${holders.length - 3} more` : ''} can load it. Choose it to see whether it fits.`,
  };
}

function fitOf(
  { memory, refusal }: ModelEntryJson,
  rooms: readonly NodeRoom[],
): Pick<ModelChoice, 'fit' | 'why'> {
  const needed = memory?.total_bytes ?? null;
  // A refusal for its size is of this one node; whether others have the room is looked at here.
  if (refusal !== null && needed === null) return { fit: 'refused', why: refusal };
  if (needed === null) return { fit: 'unknown', why: 'Choose it to see whether it fits.' };
  if (rooms.length === 0) return { fit: 'never', why: 'No machine of this cluster runs models.' };
  const sum = (field: 'freeBytes' | 'offeredBytes') => rooms.reduce((all, room) => all + room[field], 0);
  const [roomiest] = rooms as [NodeRoom];
  const largest = rooms.reduce((a, b) => (b.offeredBytes > a.offeredBytes ? b : a));
  const needs = `Needs ${formatBytes(needed)}`;
  if (needed <= roomiest.freeBytes)
    return { fit: 'now', why: `${needs}; ${roomiest.name} has ${formatBytes(roomiest.freeBytes)} free.` };
  if (needed <= sum('freeBytes'))
    return {
      fit: 'together',
      why: `${needs} and more in all on several; ${plural(rooms.length, 'machine')} have ${formatBytes(sum('freeBytes'))} free together.`,
    };
  if (needed <= largest.offeredBytes)
    return {
      fit: 'later',
      why: `${needs}; ${largest.name} offers ${formatBytes(largest.offeredBytes)}, and other models have ${formatBytes(largest.offeredBytes - largest.freeBytes)} of it.`,
    };
  const all = `${plural(rooms.length, 'machine')} ${rooms.length === 1 ? 'offers' : 'offer'} ${formatBytes(sum('offeredBytes'))}${rooms.length === 1 ? '' : ' together'}`;
  if (needed <= sum('offeredBytes'))
    return { fit: 'later', why: `${needs}; ${all}, and other models have a part.` };
  return { fit: 'never', why: `${needs}; ${all}. Add a machine, or take a smaller model.` };
}

const SCALES = [
  { size: 1e9, letter: 'B' },
  { size: 1e6, letter: 'M' },
] as const;

function formatParameters(count: number): string {
  const scale = SCALES.find(({ size }) => count >= size);
  if (scale === undefined) return String(count);
  const scaled = count / scale.size;
  return `${scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${scale.letter}`;
}
