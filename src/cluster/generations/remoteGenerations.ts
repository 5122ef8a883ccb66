/** The generations that clients of this node have running on other nodes. */
import type { Fault } from '../../shared/errors.js';
import type { GenerationRequest } from '../../shared/generation.js';
import type { GenerationStream } from '../../shared/generationStream.js';
import type { NodeId, RunnerId } from '../../shared/ids.js';
import type { PeerLinks } from '../link/contract.js';
import { RemoteGeneration } from './remoteGeneration.js';

export interface RemoteGenerationsComponents {
  readonly links: Pick<PeerLinks, 'openStream'>;
}

export class RemoteGenerations {
  readonly #links: Pick<PeerLinks, 'openStream'>;
  readonly #open = new Map<RemoteGeneration, NodeId>();

  constructor({ links }: RemoteGenerationsComponents) {
    this.#links = links;
  }

  /** Generations on other nodes that have not ended; for metrics. */
  get openCount(): number {
    return this.#open.size;
  }

  /**
   * Runs a request on a runner of another node. The stream always ends: with the answer, when its consumer aborts it,
   * with `node_lost` when the stream between the nodes breaks, or with `peer_protocol_error`.
   */
  open(nodeId: NodeId, runnerId: RunnerId, request: GenerationRequest): GenerationStream {
    const generation = new RemoteGeneration(nodeId, request);
    this.#open.set(generation, nodeId);
    void generation.events.ended.then(() => this.#open.delete(generation));
    void generation.open(this.#links, runnerId, request);
    return generation.events;
  }

  /** Ends at once all that run on a node, without waiting for its word: it is dead, or no longer a member. */
  closeAllTo(nodeId: NodeId, fault: Fault): void {
    for (const [generation, to] of this.#open) if (to === nodeId) generation.cut(fault);
  }
}
