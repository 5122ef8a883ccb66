/** Calls a node's API for the commands. Errors come back as `ShoalError`s. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRORS, type ErrorCode, ShoalError } from '../shared/errors.js';

export interface ApiTarget {
  readonly url: string;
  readonly apiKey?: string;
}

interface ErrorBody {
  readonly error?: {
    readonly code?: string;
    readonly message?: string;
    readonly details?: Readonly<Record<string, unknown>>;
  };
}

/** @throws {ShoalError} the node's coded error, or `not_ready` when no node answers */
export async function callApi(
  target: ApiTarget,
  path: string,
  request: {
    readonly body?: unknown;
    readonly signal?: AbortSignal;
    /** @default 'POST' with a body, else 'GET' */
    readonly method?: 'GET' | 'POST' | 'DELETE';
    readonly headers?: Readonly<Record<string, string>>;
  } = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(path, target.url), {
      method: request.method ?? (request.body === undefined ? 'GET' : 'POST'),
      headers: {
        'content-type': 'application/json',
        ...request.headers,
        ...(target.apiKey === undefined ? {} : { authorization: `Bearer ${target.apiKey}` }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
    });
  } catch (error) {
    if (request.signal?.aborted) throw new ShoalError('cancelled', 'cancelled');
    throw unanswered(target, error as Error);
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as ErrorBody;
  throw asShoalError(body, `the node answered ${response.status}`);
}

/**
 * Has something made, once: when the answer is lost on its way, the same is asked again with the same key.
 * @throws {ShoalError} as `callApi`
 */
export async function makeOnce<Answer>(target: ApiTarget, path: string, body: unknown): Promise<Answer> {
  const headers = { 'idempotency-key': randomUUID() };
  for (let left = ATTEMPTS - 1; ; left -= 1) {
    try {
      const response = await callApi(target, path, { body, headers });
      return (await response.json()) as Answer;
    } catch (error) {
      const isLost = !(error instanceof ShoalError) || error.code === 'node_lost';
      if (!isLost || left === 0) throw error;
      await sleep(PAUSE_MS);
    }
  }
}

export async function callJson<Answer>(
  target: ApiTarget,
  path: string,
  body?: unknown,
  signal?: AbortSignal,
): Promise<Answer> {
  const response = await callApi(target, path, {
    ...(body === undefined ? {} : { body }),
    ...(signal === undefined ? {} : { signal }),
  });
  return (await response.json()) as Answer;
}

/** The `data:` messages of a server-sent event stream, until `[DONE]`. */
export async function* readEvents(response: Response): AsyncGenerator<unknown> {
  let rest = '';
  if (response.body === null) return;
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (!line.startsWith('data: ')) continue;
      const data = line.slice('data: '.length);
      if (data === '[DONE]') return;
      const message: unknown = JSON.parse(data);
      if ((message as ErrorBody).error !== undefined)
        throw asShoalError(message as ErrorBody, 'the stream failed');
      yield message;
    }
  }
  throw new ShoalError('internal_error', 'the stream was cut off before its end');
}

const ATTEMPTS = 3;
const PAUSE_MS = 500;
/** The connection was there: the node may have done what it was asked, and its answer is lost. */
const BROKEN_OFF: ReadonlySet<string> = new Set(['UND_ERR_SOCKET', 'ECONNRESET', 'EPIPE']);

function unanswered({ url }: ApiTarget, error: Error): ShoalError {
  const cause = error.cause as NodeJS.ErrnoException | undefined;
  const reason = cause?.message ?? error.message;
  return BROKEN_OFF.has(cause?.code ?? '')
    ? new ShoalError('node_lost', `the node at ${url} broke off before it answered (${reason})`)
    : new ShoalError('not_ready', `no node answers at ${url} (${reason}); start one with shoal up`);
}

function asShoalError(body: ErrorBody, otherwise: string): ShoalError {
  const code = body.error?.code;
  const known = code !== undefined && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'internal_error';
  const details = body.error?.details;
  return new ShoalError(known, body.error?.message ?? otherwise, details === undefined ? {} : { details });
}
