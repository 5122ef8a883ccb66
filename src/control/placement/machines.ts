/** The nodes and links that placement may use, checked and indexed: nothing behind this trusts a measured number. */
import type { CostParameters } from './costParameters.js';
import type { LinkFacts, NodeResources, ShardMemory } from './types.js';

export interface Machine {
  readonly node: NodeResources;
  readonly freeBytes: number;
  /** What decoding reaches of memory, and prefill of matrix products. */
  readonly bytesPerMs: number;
  readonly operationsPerMs: number;
  readonly isMeasured: boolean;
}

export interface Way {
  /** One way, software included. */
  readonly delayMs: number;
  readonly bytesPerMs: number;
  readonly rdma: boolean;
  readonly isMeasured: boolean;
}

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
    const all = [...nodes].sort(byNodeId).map((node) => machineOf(node, parameters));
    const indexes = new Map(all.map(({ node }, index) => [node.nodeId, index]));
    const ways: (Way | null)[] = new Array(all.length ** 2).fill(null);
    const cut = new Set<number>();
    for (const link of links) {
      const from = indexes.get(link.from);
      const to = indexes.get(link.to);
      if (from === undefined || to === undefined || from === to) continue;
      for (const at of [from * all.length + to, to * all.length + from]) {
        if (!link.isConnected) cut.add(at);
        ways[at] = worse(ways[at] ?? null, wayOf(link, parameters));
      }
    }
    for (const at of cut) ways[at] = null;
    return new Machines(all, ways);
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

function machineOf(node: NodeResources, parameters: CostParameters): Machine {
  const memory = positive(node.memoryBytesPerSecond);
  const operations = positive(node.operationsPerSecond);
  return {
    node,
    freeBytes: freeBytesOf(node),
    bytesPerMs: ((memory ?? parameters.assumedMemoryBytesPerSecond) * parameters.bandwidthShare) / MS_PER_S,
    operationsPerMs:
      ((operations ?? parameters.assumedOperationsPerSecond) * parameters.operationsShare) / MS_PER_S,
    isMeasured: memory !== null && operations !== null,
  };
}

function wayOf(link: LinkFacts, parameters: CostParameters): Way {
  const roundTripUs = positive(link.roundTripUs);
  const speed = positive(link.bytesPerSecond);
  const halfUs = (roundTripUs ?? parameters.assumedRoundTripUs) / 2;
  return {
    delayMs: (halfUs + parameters.hopOverheadUs) / US_PER_MS,
    bytesPerMs: (speed ?? parameters.assumedLinkBytesPerSecond) / MS_PER_S,
    rdma: link.rdma,
    isMeasured: roundTripUs !== null && speed !== null,
  };
}

function worse(left: Way | null, right: Way): Way {
  if (left === null) return right;
  return {
    delayMs: Math.max(left.delayMs, right.delayMs),
    bytesPerMs: Math.min(left.bytesPerMs, right.bytesPerMs),
    rdma: left.rdma && right.rdma,
    isMeasured: left.isMeasured && right.isMeasured,
  };
}

function positive(value: number | null): number | null {
  return value !== null && Number.isFinite(value) && value > 0 ? value : null;
}
