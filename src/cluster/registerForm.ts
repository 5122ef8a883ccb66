/** What a node tells the others of itself, and how much of it is believed. */
import type { NodeId } from '../shared/ids.js';
import { LIMITS } from '../shared/limits.js';
import { type NodeSpeed, readNodeSpeed } from '../shared/nodeSpeed.js';
import { INTERFACE_KINDS, type InterfaceKind } from './link/linkInterface.js';

/** Plain JSON: what people and the dashboard are shown, in camel case. */
export interface Register {
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number };
  readonly cpu: { readonly cores: number; readonly loadAverage: number };
  /** Null until it was measured. */
  readonly speed: NodeSpeed | null;
  readonly apiUrl: string;
  /** By the runners of the node, since it was started. */
  readonly generatedTokens: number;
  /** The node's own links. */
  readonly links: readonly MeasuredLink[];
  /** By runner id. */
  readonly runners: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** A link as the node at this end of it sees it; null is what it does not know. */
export interface MeasuredLink {
  readonly to: NodeId;
  readonly interfaceKind: InterfaceKind | null;
  readonly rttUs: number | null;
  readonly bandwidthBytesPerS: number | null;
  /** Has the interface of this end RDMA? The link has it when both ends do. */
  readonly rdma: boolean;
}

/** A register of another version may look otherwise, and one of a broken node may say anything; null when it is none. */
export function readRegister(text: string): Register | null {
  let value: Partial<Record<keyof Register, unknown>>;
  try {
    value = (JSON.parse(text) ?? {}) as typeof value;
  } catch {
    return null;
  }
  const { memory, cpu, apiUrl, links, runners } = value;
  const isWhole =
    hasNumbers(memory, 'totalBytes', 'availableBytes') &&
    hasNumbers(cpu, 'cores', 'loadAverage') &&
    typeof apiUrl === 'string' &&
    Array.isArray(links) &&
    isRecord(runners);
  if (!isWhole) return null;
  return {
    ...(value as unknown as Register),
    speed: readNodeSpeed(value.speed),
    generatedTokens: positive(value.generatedTokens) ?? 0,
    links: (links as unknown[]).slice(0, LIMITS.peers).flatMap(readLink),
    runners: Object.fromEntries(Object.entries(runners).map(([runnerId, facts]) => [runnerId, flat(facts)])),
  };
}

function readLink(value: unknown): MeasuredLink[] {
  if (!isRecord(value) || typeof value.to !== 'string' || value.to.length > LIMITS.idCharacters) return [];
  const { interfaceKind, rttUs, bandwidthBytesPerS, rdma } = value;
  return [
    {
      to: value.to as NodeId,
      interfaceKind: INTERFACE_KINDS.find((kind) => kind === interfaceKind) ?? null,
      rttUs: positive(rttUs),
      bandwidthBytesPerS: positive(bandwidthBytesPerS),
      rdma: rdma === true,
    },
  ];
}

/** Of what is said of a runner, the plain values and lists of them, and one level of them below: it is shown as it is. */
function flat(value: unknown, levels = 1): Readonly<Record<string, unknown>> {
  if (!isRecord(value)) return {};
  return Object.fromEntries(
    Object.entries(value).flatMap(([name, part]) => {
      if (isPlain(part)) return [[name, part]];
      return isRecord(part) && levels > 0 ? [[name, flat(part, levels - 1)]] : [];
    }),
  );
}

function isPlain(value: unknown): boolean {
  if (Array.isArray(value)) return value.every((part) => typeof part !== 'object');
  return value === null || typeof value !== 'object';
}

function positive(value: unknown): number | null {
  return typeof value === 'number' && Number.isFinite(value) && value > 0 ? value : null;
}

function hasNumbers(value: unknown, ...names: readonly string[]): boolean {
  return isRecord(value) && names.every((name) => Number.isFinite(value[name]));
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
