/**
 * The telemetry plane: each node owns one register of newest values, which it tells the others when it changed, and
 * now and then anyway. The last word counts; nothing is logged, and a lost one is made good by the next.
 */
import type { Measurements } from '../control/measurements.js';
import type { LinkFacts } from '../control/placement/types.js';
import type { NodeId } from '../shared/ids.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import type { NodeSpeed } from '../shared/nodeSpeed.js';
import type { ClusterNode } from './clusterNode.js';
import type { PeerLinks } from './link/contract.js';
import { type Register, readRegister } from './registerForm.js';

export interface RegistersComponents {
  readonly nodeId: NodeId;
  readonly links: Pick<PeerLinks, 'peers' | 'send'>;
  readonly cluster: Pick<ClusterNode, 'listen' | 'tellMeasured'>;
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
    this.#ticker = setInterval(() => this.#look(), TIMES.registerMs);
  }

  close(): void {
    clearInterval(this.#ticker);
  }

  /** The newest values of another node; null when it is not there. */
  of(nodeId: NodeId): Heard | null {
    return this.#others.get(nodeId) ?? null;
  }

  #look(): void {
    const register = this.#components.read();
    this.#components.cluster.tellMeasured(this.#measured(register));
    this.#tell(register);
  }

  #tell(register: Register): void {
    const { links, now } = this.#components;
    const text = JSON.stringify(register);
    const isKnown = text === this.#told && now() - this.#toldAt < TIMES.registerRepeatMs;
    if (isKnown || links.peers.size === 0) return;
    this.#told = text;
    this.#toldAt = now();
    for (const nodeId of links.peers.keys()) links.send(nodeId, { kind: 'Register', register: text });
  }

  #measured(own: Register): Measurements {
    const registers = new Map([...this.#others].map(([nodeId, { register }]) => [nodeId, register]));
    registers.set(this.#components.nodeId, own);
    const speeds = new Map<NodeId, NodeSpeed>();
    for (const [nodeId, { speed }] of registers) if (speed !== null) speeds.set(nodeId, speed);
    return { links: linkFacts(registers), speeds };
  }

  #received(from: NodeId, message: unknown): void {
    const { kind, register } = (message ?? {}) as Record<string, unknown>;
    if (kind !== 'Register' || typeof register !== 'string' || register.length > LIMITS.registerBytes) return;
    const parsed = readRegister(register);
    if (parsed !== null) this.#others.set(from, { register: parsed, at: this.#components.now() });
  }
}

/**
 * What placement is told of the ways between nodes. Who does not list a node that is there has no link to it, whatever
 * the other end believes.
 */
function linkFacts(registers: ReadonlyMap<NodeId, Register>): LinkFacts[] {
  return [...registers].flatMap(([from, { links }]) => {
    const linked = new Set(links.map(({ to }) => to));
    const lost = [...registers.keys()].filter((to) => to !== from && !linked.has(to));
    return [
      ...links.map(({ to, rttUs, bandwidthBytesPerS, rdma }) => ({
        from,
        to,
        isConnected: true,
        roundTripUs: rttUs,
        bytesPerSecond: bandwidthBytesPerS,
        rdma,
      })),
      ...lost.map((to) => ({
        from,
        to,
        isConnected: false,
        roundTripUs: null,
        bytesPerSecond: null,
        rdma: false,
      })),
    ];
  });
}
