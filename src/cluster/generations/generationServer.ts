/** Serves the generations that other nodes ask of the runners on this one (`protocol.ts`). */
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fault, ShoalError } from '../../shared/errors.js';
import type { GenerationRequest } from '../../shared/generation.js';
import type { GenerationStream } from '../../shared/generationStream.js';
import type { NodeId, RunnerId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { notUnderstood, tooManyStreams } from '../calls/fault.js';
import type { PeerLinks, StreamHead } from '../link/contract.js';
import { readHead } from './checkRequest.js';
import { GENERATION_STREAM } from './protocol.js';
import { ServedGeneration } from './servedGeneration.js';

/** Starts a generation on a runner of this node. The stream always ends, also when the runner is not here. */
export type Generate = (runnerId: RunnerId, request: GenerationRequest) => GenerationStream;

export interface GenerationServerComponents {
  readonly links: Pick<PeerLinks, 'serveStreams'>;
  readonly generate: Generate;
}

export interface GenerationServerOptions {
  /** Let failpoints in requests act; tests only. @default false */
  readonly allowFailpoints?: boolean;
}

const DRAIN_LOOK_MS = 20;

export class GenerationServer {
  readonly #components: GenerationServerComponents;
  readonly #allowFailpoints: boolean;
  readonly #open = new Map<ServedGeneration, NodeId>();
  #arrivingBytes = 0;
  #isDraining = false;

  constructor(components: GenerationServerComponents, options: GenerationServerOptions = {}) {
    this.#components = components;
    this.#allowFailpoints = options.allowFailpoints ?? false;
    components.links.serveStreams(GENERATION_STREAM, (from, head, stream) => this.#serve(from, head, stream));
  }

  /** Streams of other nodes that are open; for metrics. */
  get openCount(): number {
    return this.#open.size;
  }

  /** Takes nothing new, and waits until what runs has ended, for a while at most. */
  async drain(limitMs: number): Promise<void> {
    this.#isDraining = true;
    const end = performance.now() + limitMs;
    while (this.#open.size > 0 && performance.now() < end) await sleep(DRAIN_LOOK_MS);
  }

  /** Ends at once what a node asked for; it is dead, or no longer a member. */
  closeAllFrom(nodeId: NodeId, fault: Fault): void {
    for (const [generation, from] of this.#open) if (from === nodeId) generation.cut(fault);
  }

  /** @throws {ShoalError} which refuses the stream */
  #serve(from: NodeId, sentHead: StreamHead, stream: Duplex): void {
    const head = readHead(sentHead);
    if (typeof head === 'string') throw ShoalError.fromFault(notUnderstood(from, head));
    if (this.#isDraining) throw new ShoalError('not_ready', 'The node with the runner is stopping.');
    if (this.#open.size >= LIMITS.servedGenerations) {
      throw ShoalError.fromFault(tooManyStreams(LIMITS.servedGenerations));
    }
    const served: ServedGeneration = new ServedGeneration(from, stream, {
      generate: (request) => this.#generate(head.runnerId, request),
      onArriving: (bytes) => {
        this.#arrivingBytes += bytes;
        return this.#arrivingBytes <= LIMITS.arrivingRequestBytes;
      },
      onClosed: () => this.#open.delete(served),
    });
    this.#open.set(served, from);
  }

  #generate(runnerId: RunnerId, request: GenerationRequest): GenerationStream {
    if (request.failpoint !== undefined && !this.#allowFailpoints) throw failpointRefused();
    return this.#components.generate(runnerId, request);
  }
}

function failpointRefused(): ShoalError {
  return new ShoalError('invalid_request', 'The node with the runner was started without --failpoints.');
}
