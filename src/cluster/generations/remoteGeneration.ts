/**
 * One generation that runs on another node: opens the stream, sends the request, feeds the events that come to the
 * client's stream, and tells the other node when the client's side ends it.
 */
import type { Duplex } from 'node:stream';
import { type Fault, ShoalError, toFault } from '../../shared/errors.js';
import { FrameError } from '../../shared/frames.js';
import type { GenerationRequest } from '../../shared/generation.js';
import { GenerationStream, type TerminalEvent } from '../../shared/generationStream.js';
import type { NodeId, RunnerId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { boundedFault, nodeLost, notUnderstood } from '../calls/fault.js';
import { FramedStream } from '../calls/framedStream.js';
import type { PeerLinks } from '../link/contract.js';
import { readEvent } from './checkEvent.js';
import { EventOrder } from './eventOrder.js';
import {
  GENERATION_PROTOCOL_VERSION,
  GENERATION_STREAM,
  type GenerationHead,
  type ToServingNode,
} from './protocol.js';

export class RemoteGeneration {
  readonly events = new GenerationStream();
  readonly #nodeId: NodeId;
  readonly #order: EventOrder;
  readonly #opening = new AbortController();
  #framed: FramedStream | null = null;
  /** Bytes that came since the consumer last had taken everything. */
  #unreadBytes = 0;

  constructor(nodeId: NodeId, request: GenerationRequest) {
    this.#nodeId = nodeId;
    this.#order = new EventOrder(request);
    this.events.onAborted(() => {
      // Of an open stream this signal would be the end, before the cancel is sent.
      if (this.#framed === null) this.#opening.abort();
      // The end has happened already; its fault is what the other node shall hear.
      void this.events.ended.then((end) => this.#cancel(end));
    });
  }

  /** Never rejects: what goes wrong is the end of the events. Resolves when the request has been handed over. */
  async open(
    links: Pick<PeerLinks, 'openStream'>,
    runnerId: RunnerId,
    request: GenerationRequest,
  ): Promise<void> {
    const head: GenerationHead = { version: GENERATION_PROTOCOL_VERSION, runnerId };
    try {
      const stream = await links.openStream(
        this.#nodeId,
        GENERATION_STREAM,
        { ...head },
        this.#opening.signal,
      );
      this.#use(stream, request);
    } catch (thrown) {
      this.events.fail(toFault(thrown));
    }
  }

  /** Ends it at once with this fault: there is nobody at the other end. */
  cut(fault: Fault): void {
    this.events.fail(fault);
    this.#opening.abort();
    this.#framed?.destroy();
  }

  #use(stream: Duplex, request: GenerationRequest): void {
    const framed = new FramedStream(
      stream,
      {
        onMessage: (message) => this.#receive(message),
        onBytes: (count) => this.#arriving(count),
        onBroken: (reason) => this.events.fail(nodeLost(this.#nodeId, reason)),
        onGarbage: (reason) => this.events.abort(notUnderstood(this.#nodeId, reason)),
      },
      { readLimitBytes: LIMITS.eventFrameBytes },
    );
    this.#framed = framed;
    if (this.events.isEnded) framed.destroy();
    else this.#ask(framed, request);
  }

  #ask(framed: FramedStream, request: GenerationRequest): void {
    try {
      framed.send({ kind: 'request', request } satisfies ToServingNode, LIMITS.runnerFrameBytes);
    } catch (error) {
      framed.destroy();
      if (!(error instanceof FrameError)) throw error;
      throw new ShoalError(
        'request_too_large',
        `The request cannot be sent to node ${this.#nodeId}: ${error.message}`,
      );
    }
  }

  #receive(message: unknown): void {
    if (this.events.isEnded) return;
    const event = readEvent(message, this.#nodeId);
    const problem = typeof event === 'string' ? event : this.#order.next(event);
    if (typeof event === 'string' || problem !== null) {
      this.events.abort(notUnderstood(this.#nodeId, problem ?? 'unknown'));
      return;
    }
    this.events.push(event);
    if (this.events.isEnded) this.#framed?.leave();
  }

  /** A client's side that does not read must not fill the memory of this node. */
  #arriving(count: number): void {
    this.#unreadBytes = this.events.unread === 0 ? count : this.#unreadBytes + count;
    if (this.#unreadBytes <= LIMITS.streamBufferBytes + LIMITS.eventFrameBytes) return;
    this.events.abort({
      code: 'client_too_slow',
      message: `more than ${LIMITS.streamBufferBytes} bytes of the answer of node ${this.#nodeId} waited unread`,
    });
  }

  #cancel(end: TerminalEvent): void {
    if (end.kind === 'failed') {
      const cancel: ToServingNode = { kind: 'cancel', fault: boundedFault(end.fault) };
      this.#framed?.send(cancel, LIMITS.callBodyBytes);
    }
    this.#framed?.leave();
  }
}
