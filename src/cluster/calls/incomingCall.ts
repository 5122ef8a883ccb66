/** One call of another node: takes the body, asks the handler, replies. Ends at its deadline or when its caller goes. */
import type { Duplex } from 'node:stream';
import { type Fault, ShoalError, toFault } from '../../shared/errors.js';
import { FrameError } from '../../shared/frames.js';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { boundedFault, nodeLost, notUnderstood } from './fault.js';
import { FramedStream } from './framedStream.js';
import type { CallHead, CallReply } from './protocol.js';

/**
 * Answers the calls of one name.
 * @param body as it came: of another version, or a lie, until it is checked
 * @param signal aborted when nobody waits for the reply any more
 * @returns the reply, as MessagePack can write it
 * @throws {ShoalError} which crosses to the caller; everything else is a bug, and reaches it as `internal_error`
 */
export type CallHandler = (from: NodeId, body: unknown, signal: AbortSignal) => unknown;

export interface CallBounds {
  readonly bodyLimitBytes: number;
  readonly replyLimitBytes: number;
}

export interface IncomingCallListener {
  readonly handler: CallHandler;
  /** The handler threw what is no coded error. */
  onBug(error: unknown): void;
  /** Nothing of it is left, and the handler has ended. */
  onEnded(): void;
}

export class IncomingCall {
  readonly #from: NodeId;
  readonly #listener: IncomingCallListener;
  readonly #bounds: CallBounds;
  readonly #framed: FramedStream;
  readonly #ending = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #isAtWork = false;
  #isClosed = false;

  constructor(
    from: NodeId,
    stream: Duplex,
    head: CallHead,
    listener: IncomingCallListener,
    bounds: CallBounds,
  ) {
    this.#from = from;
    this.#listener = listener;
    this.#bounds = bounds;
    const timeoutMs = Math.min(head.timeoutMs, TIMES.longestCallMs);
    this.#deadline = setTimeout(
      () =>
        this.#refuse({ code: 'deadline_exceeded', message: `${head.call} took longer than ${timeoutMs} ms` }),
      timeoutMs,
    );
    this.#framed = new FramedStream(
      stream,
      {
        onMessage: (message) => this.#receive(message),
        onBroken: (reason) => this.#ending.abort(ShoalError.fromFault(nodeLost(from, reason))),
        onGarbage: (reason) => this.#refuse(notUnderstood(from, reason)),
        onClosed: () => this.#closed(),
      },
      { readLimitBytes: bounds.bodyLimitBytes },
    );
  }

  /** Ends it without a word. */
  cut(fault: Fault): void {
    this.#ending.abort(ShoalError.fromFault(fault));
    this.#framed.destroy();
  }

  #receive(message: unknown): void {
    if (this.#isAtWork) this.#refuse(notUnderstood(this.#from, 'a call has one body'));
    else if (typeof message !== 'object' || message === null) {
      this.#refuse(notUnderstood(this.#from, 'the body of a call was due'));
    } else void this.#work((message as { body?: unknown }).body);
  }

  async #work(body: unknown): Promise<void> {
    this.#isAtWork = true;
    try {
      this.#send({ reply: await this.#listener.handler(this.#from, body, this.#ending.signal) });
    } catch (thrown) {
      const isBug = !(thrown instanceof ShoalError) && !this.#ending.signal.aborted;
      if (isBug) this.#listener.onBug(thrown);
      this.#refuse(toFault(thrown));
    }
    this.#isAtWork = false;
    this.#endWhenDone();
  }

  #send(reply: CallReply): void {
    clearTimeout(this.#deadline);
    try {
      this.#framed.send(reply, this.#bounds.replyLimitBytes);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      throw new ShoalError('internal_error', `the reply cannot be sent: ${error.message}`, { cause: error });
    }
    this.#framed.leave();
  }

  #refuse(fault: Fault): void {
    clearTimeout(this.#deadline);
    this.#framed.send({ fault: boundedFault(fault) } satisfies CallReply, LIMITS.callBodyBytes);
    this.#framed.leave();
    this.#ending.abort(ShoalError.fromFault(fault));
  }

  #closed(): void {
    this.#isClosed = true;
    clearTimeout(this.#deadline);
    this.#endWhenDone();
  }

  #endWhenDone(): void {
    if (this.#isClosed && !this.#isAtWork) this.#listener.onEnded();
  }
}
