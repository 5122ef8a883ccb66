/**
 * How long one generation request may live. Its signal is aborted, with a `ShoalError` as the reason, when the
 * client goes away, when the deadline and a grace have passed without an end, when the client reads too slowly,
 * or when the node stops. This is the last guard of "no request hangs": it relies on nobody else's answer.
 */
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';

export class RequestLifetime {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #response: ServerResponse;
  readonly #disposed: () => void;
  readonly #clientGone = (): void => {
    this.end(new ShoalError('cancelled', 'The client closed the connection before the answer was complete.'));
  };

  /** @param limitMs deadline and grace together, in milliseconds */
  constructor(response: ServerResponse, limitMs: number, disposed: () => void) {
    this.#response = response;
    this.#disposed = disposed;
    this.#timer = setTimeout(() => {
      this.end(
        new ShoalError(
          'deadline_exceeded',
          `The request had no end after ${limitMs} ms, its deadline and a grace. Ask for less, or allow more time with \`deadline_ms\`.`,
        ),
      );
    }, limitMs);
    response.once('close', this.#clientGone);
    if (response.destroyed || response.closed) this.#clientGone();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Has the whole answer left this process, or is there nobody to send it to? */
  get isAnswered(): boolean {
    return this.#response.writableFinished || this.#response.destroyed;
  }

  /** Aborts the request; the first reason stays. */
  end(reason: ShoalError): void {
    if (!this.signal.aborted) this.#controller.abort(reason);
  }

  /** The request has its answer: frees timer and listeners. Harmless when repeated. */
  dispose(): void {
    clearTimeout(this.#timer);
    this.#response.off('close', this.#clientGone);
    this.#disposed();
  }
}

const DRAIN_POLL_MS = 20;

/** The lifetimes of all generation requests in flight, so that a stopping node can end them. */
export class Lifetimes {
  readonly #active = new Set<RequestLifetime>();
  #draining = false;

  /** True from the moment that the node began to stop. */
  get draining(): boolean {
    return this.#draining;
  }

  begin(response: ServerResponse, limitMs: number): RequestLifetime {
    const lifetime: RequestLifetime = new RequestLifetime(response, limitMs, () =>
      this.#active.delete(lifetime),
    );
    this.#active.add(lifetime);
    return lifetime;
  }

  /** Takes nothing new, waits for the requests in flight, and ends with `not_ready` what is left after `limitMs`. */
  async drain(limitMs: number): Promise<void> {
    this.#draining = true;
    const endAt = performance.now() + limitMs;
    while (this.#active.size > 0 && performance.now() < endAt) await sleep(DRAIN_POLL_MS);
    const cut = [...this.#active];
    for (const lifetime of cut) {
      lifetime.end(
        new ShoalError('not_ready', 'The node is stopping. Send the request again in a few seconds.'),
      );
    }
    const flushEndAt = performance.now() + TIMES.drainFlushMs;
    while (cut.some((lifetime) => !lifetime.isAnswered) && performance.now() < flushEndAt) {
      await sleep(DRAIN_POLL_MS);
    }
  }
}

/** Settles as `work` does, or rejects with the signal's reason as soon as it is aborted. */
export function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const aborted = (): void => reject(signal.reason);
    signal.addEventListener('abort', aborted, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
    if (signal.aborted) aborted();
  });
}
