/**
 * The telemetry plane: each node owns one register of newest values, which it tells the others when it changed, and
 * now and then anyway. The last word counts; nothing is logged, and a lost one is made good by the next.
 */
import type { LinkFacts } from '../control/placement/types.js';
import type { NodeId } from '../shared/ids.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import type { ClusterNode } from './clusterNode.js';
import type { PeerLinks } from './link/contract.js';

/** Plain JSON: what people and the dashboard are shown, in camel case. */
export interface Register {
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number };
  readonly cpu: { readonly cores: number; readonly loadAverage: number };
  readonly apiUrl: string;
  /** By the runners of the node, since it was started. Absent in what nodes of other versions tell. */
  readonly generatedTokens?: number;
  /** Round trips on the node's own links. */
  readonly links: readonly { readonly to: NodeId; readonly rttUs: number | null }[];
  /** By runner id. */
  readonly runners: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

export interface RegistersComponents {
  readonly nodeId: NodeId;
  readonly links: Pick<PeerLinks, 'peers' | 'send'>;
  readonly cluster: Pick<ClusterNode, 'listen' | 'linksMeasured'>;
  /** Looks at this machine. */
  readonly read: () => Register;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

interface Heard {
  readonly register: Register;
  /** Milliseconds since the epoch, on this node's clock. */
  readonly at: number;
}

export class Registers {
  readonly #components: RegistersComponents;
  readonly #others = new Map<NodeId, Heard>();
  #told = '';
  #toldAt = Number.NEGATIVE_INFINITY;
  #ticker: NodeJS.Timeout | undefined;

  constructor(components: RegistersComponents) {
    this.#components = components;
    components.cluster.listen({
      received: (from, message) => this.#received(from, message),
      peerJudged: (nodeId, status) => {
        if (status === 'dead') this.#others.delete(nodeId);
      },
    });
  }

  start(): void {
    this.#ticker = setInterval(() => this.#tell(), TIMES.registerMs);
  }

  close(): void {
    clearInterval(this.#ticker);
  }

  /** The newest values of another node; null when it is not there. */
  of(nodeId: NodeId): Heard | null {
    return this.#others.get(nodeId) ?? null;
  }

  #tell(): void {
    const { links, read, now } = this.#components;
    if (links.peers.size === 0) return;
    const register = read();
    this.#components.cluster.linksMeasured(this.#measuredLinks(register));
    const text = JSON.stringify(register);
    if (text === this.#told && now() - this.#toldAt < TIMES.registerRepeatMs) return;
    this.#told = text;
    this.#toldAt = now();
    for (const nodeId of links.peers.keys()) links.send(nodeId, { kind: 'Register', register: text });
  }

  /** What placement is told of the ways between nodes. */
  #measuredLinks(own: Register): LinkFacts[] {
    const all: [NodeId, Register][] = [
      [this.#components.nodeId, own],
      ...[...this.#others].map(([nodeId, { register }]): [NodeId, Register] => [nodeId, register]),
    ];
    return all.flatMap(([from, { links }]) =>
      links.map(({ to, rttUs }) => ({
        from,
        to,
        isConnected: true,
        roundTripUs: rttUs,
        bytesPerSecond: null,
        rdma: false,
      })),
    );
  }

  #received(from: NodeId, message: unknown): void {
    const { kind, register } = (message ?? {}) as Record<string, unknown>;
    if (kind !== 'Register' || typeof register !== 'string' || register.length > LIMITS.registerBytes) return;
    const parsed = parseRegister(register);
    if (parsed !== null) this.#others.set(from, { register: parsed, at: this.#components.now() });
  }
}

/** A register of another version may look otherwise: what is not as expected is not shown. */
function parseRegister(text: string): Register | null {
  try {
    const value = JSON.parse(text) as Partial<Register> | null;
    const isWhole =
      Number.isFinite(value?.memory?.totalBytes) &&
      Number.isFinite(value?.memory?.availableBytes) &&
      typeof value?.apiUrl === 'string' &&
      Array.isArray(value.links) &&
      typeof value.runners === 'object' &&
      value.runners !== null;
    return isWhole ? (value as Register) : null;
  } catch {
    return null;
  }
}
