/**
 * One generation that runs here for a client of another node: takes the request, sends the events as they come, and
 * ends the generation when the other side cancels it or is gone.
 */
import type { Duplex } from 'node:stream';
import { type Fault, toFault } from '../../shared/errors.js';
import { FrameError } from '../../shared/frames.js';
import type { GenerationEvent, GenerationRequest } from '../../shared/generation.js';
import type { GenerationStream } from '../../shared/generationStream.js';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { boundedFault, nodeLost, notUnderstood, readFault } from '../calls/fault.js';
import { FramedStream } from '../calls/framedStream.js';
import { readRequest } from './checkRequest.js';

export interface ServedGenerationListener {
  /** Starts the generation. */
  generate(request: GenerationRequest): GenerationStream;
  /** More of the request has come, or, with a negative number, it is no longer held. @returns whether there is room */
  onArriving(bytes: number): boolean;
  /** Nothing of it is left. */
  onClosed(): void;
}

export class ServedGeneration {
  readonly #from: NodeId;
  readonly #listener: ServedGenerationListener;
  readonly #framed: FramedStream;
  readonly #arrival: NodeJS.Timeout;
  #arrivingBytes = 0;
  #events: GenerationStream | null = null;
  #cancelBytes = 0;
  #isOverflowing = false;

  constructor(from: NodeId, stream: Duplex, listener: ServedGenerationListener) {
    this.#from = from;
    this.#listener = listener;
    this.#arrival = setTimeout(
      () =>
        this.#end({
          code: 'deadline_exceeded',
          message: `the request of node ${from} did not arrive in time`,
        }),
      TIMES.requestReceiveMs,
    );
    this.#framed = new FramedStream(
      stream,
      {
        onMessage: (message) => this.#receive(message),
        onBytes: (count) => this.#arriving(count),
        onBroken: (reason) => this.end(nodeLost(from, reason)),
        onGarbage: (reason) => this.end(notUnderstood(from, reason)),
        onClosed: () => {
          this.#arrived();
          listener.onClosed();
        },
      },
      { readLimitBytes: LIMITS.runnerFrameBytes },
    );
  }

  /** Ends it with this fault, which the other side hears of if it still listens. Harmless when repeated. */
  end(fault: Fault): void {
    if (this.#events === null) this.#end(fault);
    else this.#events.abort(fault);
  }

  /** Ends it without a word. */
  cut(fault: Fault): void {
    this.end(fault);
    this.#framed.destroy();
  }

  #arriving(count: number): void {
    if (this.#events !== null) {
      this.#cancelBytes += count;
      if (this.#cancelBytes > LIMITS.callBodyBytes)
        this.end(notUnderstood(this.#from, 'its cancel has no end'));
      return;
    }
    this.#arrivingBytes += count;
    if (this.#listener.onArriving(count)) return;
    this.#end({
      code: 'queue_full',
      message: `more than ${LIMITS.arrivingRequestBytes} bytes of requests are arriving at once`,
      retryAfterMs: TIMES.retryAfterMs,
    });
  }

  #arrived(): void {
    clearTimeout(this.#arrival);
    this.#listener.onArriving(-this.#arrivingBytes);
    this.#arrivingBytes = 0;
  }

  #receive(message: unknown): void {
    const { kind, request, fault } = (message ?? {}) as Record<string, unknown>;
    if (this.#events !== null) {
      const isCancel = kind === 'cancel';
      this.end(isCancel ? readFault(fault, this.#from) : notUnderstood(this.#from, 'a cancel was due'));
    } else if (kind === 'request') {
      this.#arrived();
      this.#start(readRequest(request));
    } else {
      this.#end(notUnderstood(this.#from, 'a request was due'));
    }
  }

  #start(request: GenerationRequest | string): void {
    if (typeof request === 'string') {
      this.#end(notUnderstood(this.#from, request));
      return;
    }
    try {
      this.#events = this.#listener.generate(request);
    } catch (thrown) {
      this.#end(toFault(thrown));
      return;
    }
    this.#pump(this.#events).catch((thrown) => this.#end(toFault(thrown)));
  }

  async #pump(events: GenerationStream): Promise<void> {
    for await (const event of events) {
      if (event.kind === 'failed') this.#end(event.fault);
      else this.#send(event, events);
      if (event.kind === 'finished') this.#framed.leave();
    }
  }

  #send(event: GenerationEvent, events: GenerationStream): void {
    if (this.#isOverflowing) return;
    try {
      this.#framed.send(event, LIMITS.eventFrameBytes);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      events.abort({ code: 'internal_error', message: `an event cannot be sent: ${error.message}` });
    }
    if (this.#framed.unsentBytes <= LIMITS.streamBufferBytes) return;
    this.#isOverflowing = true;
    events.abort({
      code: 'client_too_slow',
      message: `node ${this.#from} left more than ${LIMITS.streamBufferBytes} bytes of the answer unread`,
    });
  }

  #end(fault: Fault): void {
    this.#arrived();
    this.#framed.send({ kind: 'failed', fault: boundedFault(fault) }, LIMITS.eventFrameBytes);
    this.#framed.leave();
  }
}
