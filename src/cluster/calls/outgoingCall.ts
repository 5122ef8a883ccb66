/** One call to another node, until its reply, a fault, its deadline, or its caller's end: whichever is first. */
import type { Duplex } from 'node:stream';
import { ShoalError } from '../../shared/errors.js';
import { FrameError } from '../../shared/frames.js';
import type { NodeId } from '../../shared/ids.js';
import type { PeerLinks } from '../link/contract.js';
import { nodeLost, notUnderstood, readFault } from './fault.js';
import { FramedStream } from './framedStream.js';
import { CALL_PROTOCOL_VERSION, CALL_STREAM, type CallHead } from './protocol.js';

/** What a call brings, with all its bounds settled. */
export interface CallDescription {
  readonly to: NodeId;
  readonly call: string;
  readonly body: unknown;
  readonly timeoutMs: number;
  readonly bodyLimitBytes: number;
  readonly replyLimitBytes: number;
}

export class OutgoingCall {
  /** Rejects with a `ShoalError`, or with the reason that was given to `end`. */
  readonly reply: Promise<unknown>;
  readonly #description: CallDescription;
  readonly #ending = new AbortController();
  readonly #deadline: NodeJS.Timeout;
  #framed: FramedStream | null = null;
  #resolve!: (reply: unknown) => void;

  constructor(description: CallDescription) {
    this.#description = description;
    const { to, call, timeoutMs } = description;
    this.reply = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#ending.signal.addEventListener('abort', () => reject(this.#ending.signal.reason), { once: true });
    });
    this.#deadline = setTimeout(
      () =>
        this.end(new ShoalError('deadline_exceeded', `node ${to} did not answer ${call} in ${timeoutMs} ms`)),
      timeoutMs,
    );
  }

  /** Takes the call back, unless it has its reply. @param reason what `reply` rejects with */
  end(reason: unknown): void {
    clearTimeout(this.#deadline);
    this.#ending.abort(reason);
    this.#framed?.destroy();
  }

  /** Never rejects: what goes wrong is the end of `reply`. */
  async open(links: Pick<PeerLinks, 'openStream'>): Promise<void> {
    const { to, call, timeoutMs } = this.#description;
    const head: CallHead = { version: CALL_PROTOCOL_VERSION, call, timeoutMs };
    try {
      this.#use(await links.openStream(to, CALL_STREAM, { ...head }, this.#ending.signal));
    } catch (thrown) {
      this.end(thrown);
    }
  }

  #use(stream: Duplex): void {
    const { to, body, bodyLimitBytes, replyLimitBytes } = this.#description;
    const fail = (fault: ReturnType<typeof nodeLost>): void => this.end(ShoalError.fromFault(fault));
    this.#framed = new FramedStream(
      stream,
      {
        onMessage: (message) => this.#receive(message),
        onBroken: (reason) => fail(nodeLost(to, reason)),
        onGarbage: (reason) => fail(notUnderstood(to, reason)),
      },
      { readLimitBytes: replyLimitBytes },
    );
    if (this.#ending.signal.aborted) this.#framed.destroy();
    else this.#send(this.#framed, { body }, bodyLimitBytes);
  }

  #send(framed: FramedStream, message: unknown, limitBytes: number): void {
    try {
      framed.send(message, limitBytes);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      throw new ShoalError('request_too_large', `${this.#description.call} cannot be sent: ${error.message}`);
    }
  }

  #receive(message: unknown): void {
    const { to } = this.#description;
    if (typeof message !== 'object' || message === null) {
      this.end(ShoalError.fromFault(notUnderstood(to, 'a reply was due')));
    } else if ('fault' in message) {
      this.end(ShoalError.fromFault(readFault(message.fault, to)));
    } else {
      clearTimeout(this.#deadline);
      this.#resolve((message as { reply?: unknown }).reply);
      this.#framed?.leave();
    }
  }
}
