/** Calls to the node: JSON in and out, the API key where there is one, and failures as faults that people can read. */
import type { ServerEvent } from './sse.js';
import { SseReader } from './sse.js';

/** Why a call failed: a code of docs/errors.md, or `unreachable` when no answer came. */
export interface PageFault {
  readonly code: string;
  readonly message: string;
  readonly status: number | null;
  /** What belongs to the code, such as the reason of each node. */
  readonly details?: Readonly<Record<string, unknown>>;
}

interface EventsOptions {
  /** Told first. */
  readonly onHeaders?: (headers: Headers) => void;
  /** Told what clients skip. */
  readonly onComment?: (text: string) => void;
  /** Of the request. */
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiError extends Error {
  readonly fault: PageFault;

  constructor(fault: PageFault) {
    super(fault.message);
    this.name = 'ApiError';
    this.fault = fault;
  }
}

export interface ApiComponents {
  readonly fetch: typeof fetch;
  /** The key to send, or null. */
  readonly key: () => string | null;
}

export interface ApiOptions {
  /** Where the node answers; empty = where the page came from. */
  readonly url: string;
  /** Longest wait for a whole answer that is no stream, in milliseconds. */
  readonly answerMs: number;
}

const UNAUTHORIZED = 401;

export class NodeApi {
  readonly #components: ApiComponents;
  readonly #options: ApiOptions;

  constructor(components: ApiComponents, options: ApiOptions) {
    this.#components = components;
    this.#options = options;
  }

  /**
   * @param idempotencyKey of what shall be made once, however often it is sent
   * @throws {ApiError}
   */
  async json<Answer>(
    method: string,
    path: string,
    body?: unknown,
    idempotencyKey: string | null = null,
  ): Promise<Answer> {
    const signal = AbortSignal.timeout(this.#options.answerMs);
    const more: Record<string, string> = idempotencyKey === null ? {} : { 'idempotency-key': idempotencyKey };
    const response = await this.#send(method, path, body, signal, more);
    try {
      return (await response.json()) as Answer;
    } catch (error) {
      throw unreachable(error);
    }
  }

  /**
   * An answer that is a stream of events.
   * @throws {ApiError} before the first event, and when the connection breaks; what the signal ends, ends silently
   */
  async *events(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
    { onHeaders, onComment = () => undefined, headers }: EventsOptions = {},
  ): AsyncGenerator<ServerEvent | null> {
    const response = await this.#send(method, path, body, signal, headers);
    onHeaders?.(response.headers);
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    const decoder = new TextDecoder();
    const events = new SseReader(onComment);
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        const complete = events.push(decoder.decode(value, { stream: true }));
        // Keep-alives are told as null: they show that the node is there.
        if (complete.length === 0) yield null;
        else yield* complete;
      }
    } catch (error) {
      if (signal.aborted) return;
      throw error instanceof ApiError ? error : unreachable(error);
    } finally {
      reader.cancel().catch(() => undefined);
    }
  }

  async #send(
    method: string,
    path: string,
    body: unknown,
    signal: AbortSignal,
    more: Readonly<Record<string, string>> = {},
  ): Promise<Response> {
    const key = this.#components.key();
    const headers: Record<string, string> = {
      ...more,
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    };
    let response: Response;
    try {
      response = await this.#components.fetch(this.#options.url + path, {
        method,
        headers,
        signal,
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
    } catch (error) {
      throw unreachable(error);
    }
    if (response.ok) return response;
    throw new ApiError(await readFault(response));
  }
}

export function isUnauthorized(error: unknown): boolean {
  return error instanceof ApiError && error.fault.status === UNAUTHORIZED;
}

/** Any thrown value as a fault for the page. */
export function toPageFault(error: unknown): PageFault {
  if (error instanceof ApiError) return error.fault;
  return {
    code: 'unreachable',
    message: error instanceof Error ? error.message : String(error),
    status: null,
  };
}

function unreachable(cause: unknown): ApiError {
  const why = cause instanceof Error && cause.name === 'TimeoutError' ? ' in time' : '';
  return new ApiError({ code: 'unreachable', message: `The node does not answer${why}.`, status: null });
}

async function readFault(response: Response): Promise<PageFault> {
  const { status } = response;
  try {
    const { error } = (await response.json()) as {
      error?: { code?: unknown; message?: unknown; details?: unknown };
    };
    if (typeof error?.code === 'string' && typeof error.message === 'string') {
      const { code, message, details } = error;
      const isTold = typeof details === 'object' && details !== null;
      return {
        code,
        message,
        status,
        ...(isTold ? { details: details as PageFault['details'] & object } : {}),
      };
    }
  } catch {
    // No error object of a node: something between page and node has answered, and the status is all there is.
  }
  return { code: `http_${status}`, message: `The answer was HTTP ${status}.`, status };
}
