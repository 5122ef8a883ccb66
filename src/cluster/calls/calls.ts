/**
 * Small questions between nodes, each with a deadline, bounded bodies, and faults that cross as data. For what is
 * asked now and then: a call opens a stream of its own.
 */
import type { Duplex } from 'node:stream';
import type { Fault } from '../../shared/errors.js';
import { ShoalError } from '../../shared/errors.js';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { PeerLinks, StreamHead } from '../link/contract.js';
import { notUnderstood, tooManyStreams } from './fault.js';
import { type CallBounds, type CallHandler, IncomingCall } from './incomingCall.js';
import { OutgoingCall } from './outgoingCall.js';
import { CALL_STREAM, readCallHead } from './protocol.js';

export interface CallsComponents {
  readonly links: Pick<PeerLinks, 'openStream' | 'serveStreams'>;
  /** A handler threw what is no coded error. */
  readonly onBug: (call: string, error: unknown) => void;
}

export interface CallOptions extends Partial<CallBounds> {
  /** Milliseconds until `deadline_exceeded`. @default TIMES.callMs */
  readonly timeoutMs?: number;
  /** Takes the call back; `call` rejects with its reason. */
  readonly signal?: AbortSignal;
}

interface ServedCall {
  readonly handler: CallHandler;
  readonly bounds: CallBounds;
}

const BOUNDS: CallBounds = { bodyLimitBytes: LIMITS.callBodyBytes, replyLimitBytes: LIMITS.callBodyBytes };

export class Calls {
  readonly #components: CallsComponents;
  readonly #served = new Map<string, ServedCall>();
  readonly #outgoing = new Map<OutgoingCall, NodeId>();
  readonly #incoming = new Map<IncomingCall, NodeId>();

  constructor(components: CallsComponents) {
    this.#components = components;
    components.links.serveStreams(CALL_STREAM, (from, head, stream) => this.#receive(from, head, stream));
  }

  /** Calls in both directions that have not ended; for metrics. */
  get openCount(): number {
    return this.#outgoing.size + this.#incoming.size;
  }

  /** Answers the calls of this name from now on. @param bounds 1 MiB each by default */
  serve(call: string, handler: CallHandler, bounds: Partial<CallBounds> = {}): void {
    this.#served.set(call, { handler, bounds: { ...BOUNDS, ...bounds } });
  }

  /**
   * Asks another node.
   * @param body as MessagePack can write it
   * @returns the reply as it came: the caller checks it
   * @throws {ShoalError} what the handler threw there; `node_lost`, `deadline_exceeded`, `request_too_large`,
   * `peer_protocol_error`; or the reason of the signal
   */
  async call(to: NodeId, call: string, body: unknown, options: CallOptions = {}): Promise<unknown> {
    const { timeoutMs = TIMES.callMs, signal, ...bounds } = options;
    signal?.throwIfAborted();
    const outgoing = new OutgoingCall({ to, call, body, timeoutMs, ...BOUNDS, ...bounds });
    const aborted = (): void => outgoing.end(signal?.reason);
    this.#outgoing.set(outgoing, to);
    signal?.addEventListener('abort', aborted, { once: true });
    void outgoing.open(this.#components.links);
    try {
      return await outgoing.reply;
    } finally {
      signal?.removeEventListener('abort', aborted);
      this.#outgoing.delete(outgoing);
    }
  }

  /** Ends at once all calls to a node and from it: it is dead, or no longer a member. */
  closeAllTo(nodeId: NodeId, fault: Fault): void {
    for (const [call, to] of this.#outgoing) if (to === nodeId) call.end(ShoalError.fromFault(fault));
    for (const [call, from] of this.#incoming) if (from === nodeId) call.cut(fault);
  }

  /** @throws {ShoalError} which refuses the call */
  #receive(from: NodeId, sentHead: StreamHead, stream: Duplex): void {
    const head = readCallHead(sentHead);
    if (head === null) throw ShoalError.fromFault(notUnderstood(from, 'its call is of another version'));
    const served = this.#served.get(head.call);
    if (served === undefined) throw ShoalError.fromFault(unknownCall(from, head.call));
    if (this.#incoming.size >= LIMITS.servedCalls) {
      throw ShoalError.fromFault(tooManyStreams(LIMITS.servedCalls));
    }
    const listener = {
      handler: served.handler,
      onBug: (error: unknown) => this.#components.onBug(head.call, error),
      onEnded: () => this.#incoming.delete(call),
    };
    const call: IncomingCall = new IncomingCall(from, stream, head, listener, served.bounds);
    this.#incoming.set(call, from);
  }
}

function unknownCall(from: NodeId, call: string): Fault {
  return notUnderstood(from, `no call ${call.slice(0, LIMITS.pathSegmentCharacters)} is known here`);
}
