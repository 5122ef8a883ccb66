/** The nodes and links that placement may use, checked and indexed: nothing behind this trusts a measured number. */
import { PLAUSIBLE_SPEEDS } from '../../shared/nodeSpeed.js';
import type { CostParameters } from './costParameters.js';
import type { LinkFacts, NodeResources, ShardMemory } from './types.js';

export interface Machine {
  readonly node: NodeResources;
  readonly freeBytes: number;
  /** As it was measured, or is assumed. */
  readonly bytesPerMs: number;
  readonly operationsPerMs: number;
  /** Nothing but its processor computes. */
  readonly isProcessor: boolean;
  readonly isMeasured: boolean;
}

export interface Way {
  /** One way, software included. */
  readonly delayMs: number;
  readonly bytesPerMs: number;
  readonly rdma: boolean;
  readonly isMeasured: boolean;
}

interface Range {
  readonly least: number;
  readonly most: number;
}

/** What is outside is a mistake or a lie, and counts as not measured. */
const PLAUSIBLE = {
  ...PLAUSIBLE_SPEEDS,
  roundTripUs: { least: 0.1, most: 60e6 },
  linkBytesPerSecond: { least: 1e3, most: 1e12 },
} as const satisfies Record<string, Range>;

const MS_PER_S = 1_000;
const US_PER_MS = 1_000;

/** Machines are in the order of their ids, so that equal choices are the same ones whatever came in first. */
export class Machines {
  readonly all: readonly Machine[];
  readonly #ways: readonly (Way | null)[];

  private constructor(all: readonly Machine[], ways: readonly (Way | null)[]) {
    this.all = all;
    this.#ways = ways;
  }

  static of(
    nodes: readonly NodeResources[],
    links: readonly LinkFacts[],
    parameters: CostParameters,
  ): Machines {
    const all = machinesOf(nodes, parameters);
    const indexes = new Map(all.map(({ node }, index) => [node.nodeId, index]));
    const said: WhatIsSaid[] = [];
    const pairs: number[] = [];
    for (const link of links) {
      const from = indexes.get(link.from);
      const to = indexes.get(link.to);
      if (from === undefined || to === undefined || from === to) continue;
      const at = Math.min(from, to) * all.length + Math.max(from, to);
      if (said[at] === undefined) pairs.push(at);
      said[at] = worse(said[at], link);
    }
    const ways: (Way | null)[] = new Array(all.length ** 2).fill(null);
    for (const at of pairs) {
      const what = said[at]!;
      if (!what.isConnected) continue;
      const way = wayOf(what, parameters);
      ways[at] = way;
      ways[(at % all.length) * all.length + Math.floor(at / all.length)] = way;
    }
    return new Machines(all, ways);
  }

  /** All linked with each other, at unknown speed and without RDMA. */
  static joined(nodes: readonly NodeResources[], parameters: CostParameters): Machines {
    const all = machinesOf(nodes, parameters);
    const facts = { isConnected: true, roundTripUs: null, bytesPerSecond: null, rdma: false };
    return new Machines(all, new Array(all.length ** 2).fill(wayOf(facts, parameters)));
  }

  /** The same in both directions; null when they are not connected. */
  way(from: number, to: number): Way | null {
    return this.#ways[from * this.all.length + to] ?? null;
  }

  fits(index: number, { totalBytes }: ShardMemory): boolean {
    return totalBytes <= this.all[index]!.freeBytes;
  }
}

export function freeBytesOf({ memoryOfferedBytes, memoryTakenBytes }: NodeResources): number {
  return Math.max(0, (positive(memoryOfferedBytes) ?? 0) - (positive(memoryTakenBytes) ?? 0));
}

export function byNodeId(left: NodeResources, right: NodeResources): number {
  if (left.nodeId !== right.nodeId) return left.nodeId < right.nodeId ? -1 : 1;
  return freeBytesOf(left) - freeBytesOf(right);
}

/** Time on the way in milliseconds. */
export function sendMs(way: Way, sizeBytes: number): number {
  return way.delayMs + sizeBytes / way.bytesPerMs;
}

function machinesOf(nodes: readonly NodeResources[], parameters: CostParameters): Machine[] {
  return [...nodes].sort(byNodeId).map((node) => machineOf(node, parameters));
}

function machineOf(node: NodeResources, parameters: CostParameters): Machine {
  const memory = plausible(node.memoryBytesPerSecond, PLAUSIBLE.memoryBytesPerSecond);
  const operations = plausible(node.operationsPerSecond, PLAUSIBLE.operationsPerSecond);
  return {
    node,
    freeBytes: freeBytesOf(node),
    bytesPerMs: (memory ?? parameters.assumedMemoryBytesPerSecond) / MS_PER_S,
    operationsPerMs: (operations ?? parameters.assumedOperationsPerSecond) / MS_PER_S,
    isProcessor: node.backends.every((backend) => backend === 'cpu'),
    isMeasured: memory !== null && operations !== null,
  };
}

/** What both ends say of one link. */
type WhatIsSaid = Omit<LinkFacts, 'from' | 'to'>;

function wayOf({ roundTripUs, bytesPerSecond: speed, rdma }: WhatIsSaid, parameters: CostParameters): Way {
  const halfUs = (roundTripUs ?? parameters.assumedRoundTripUs) / 2;
  return {
    delayMs: (halfUs + parameters.hopOverheadUs) / US_PER_MS,
    bytesPerMs: (speed ?? parameters.assumedLinkBytesPerSecond) / MS_PER_S,
    rdma,
    isMeasured: roundTripUs !== null && speed !== null,
  };
}

/** Of each number what one end has measured, or the worse of two; what makes no sense was not measured. */
function worse(known: WhatIsSaid | undefined, link: LinkFacts): WhatIsSaid {
  const roundTripUs = plausible(link.roundTripUs, PLAUSIBLE.roundTripUs);
  const bytesPerSecond = plausible(link.bytesPerSecond, PLAUSIBLE.linkBytesPerSecond);
  return {
    isConnected: link.isConnected && known?.isConnected !== false,
    roundTripUs: either(Math.max, known?.roundTripUs ?? null, roundTripUs),
    bytesPerSecond: either(Math.min, known?.bytesPerSecond ?? null, bytesPerSecond),
    rdma: link.rdma && known?.rdma !== false,
  };
}

function either(choose: typeof Math.max, left: number | null, right: number | null): number | null {
  return left === null || right === null ? (left ?? right) : choose(left, right);
}

function plausible(value: number | null, { least, most }: Range): number | null {
  return value !== null && value >= least && value <= most ? value : null;
}

function positive(value: number | null): number | null {
  return value !== null && Number.isFinite(value) && value > 0 ? value : null;
}
