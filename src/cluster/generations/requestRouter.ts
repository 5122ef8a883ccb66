/** Gives each request to the worker that has its runner: the one of this node directly, another over its link. */
import type { Fault } from '../../shared/errors.js';
import type { GenerationRequest } from '../../shared/generation.js';
import type { GenerationStream } from '../../shared/generationStream.js';
import type { NodeId, RunnerId } from '../../shared/ids.js';
import type { Generate, GenerationServer } from './generationServer.js';
import type { RemoteGenerations } from './remoteGenerations.js';

export interface RequestRouterComponents {
  /** The worker of this node. */
  readonly generate: Generate;
  readonly remote: RemoteGenerations;
  readonly server: GenerationServer;
}

export interface RequestRouterOptions {
  /** This node. */
  readonly nodeId: NodeId;
}

export class RequestRouter {
  readonly #components: RequestRouterComponents;
  readonly #nodeId: NodeId;

  constructor(components: RequestRouterComponents, { nodeId }: RequestRouterOptions) {
    this.#components = components;
    this.#nodeId = nodeId;
  }

  /** Opens the stream of a request to the runner that it was assigned to. The stream always ends. */
  openStream(nodeId: NodeId, runnerId: RunnerId, request: GenerationRequest): GenerationStream {
    const { generate, remote } = this.#components;
    return nodeId === this.#nodeId ? generate(runnerId, request) : remote.open(nodeId, runnerId, request);
  }

  /** A node is dead or was cut off: ends at once what runs there for this node, and here for that one. */
  nodeLost(nodeId: NodeId, fault: Fault): void {
    this.#components.remote.closeAllTo(nodeId, fault);
    this.#components.server.closeAllFrom(nodeId, fault);
  }
}
