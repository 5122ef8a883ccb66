/** Calls a node's API for the commands. Errors come back as `ShoalError`s. */
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
    const reason = ((error as Error).cause as Error | undefined)?.message ?? (error as Error).message;
    throw new ShoalError(
      'not_ready',
      `no node answers at ${target.url} (${reason}); start one with shoal up`,
    );
  }
  if (response.ok) return response;
  const body = (await response.json().catch(() => ({}))) as ErrorBody;
  throw asShoalError(body, `the node answered ${response.status}`);
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

function asShoalError(body: ErrorBody, otherwise: string): ShoalError {
  const code = body.error?.code;
  const known = code !== undefined && Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'internal_error';
  const details = body.error?.details;
  return new ShoalError(known, body.error?.message ?? otherwise, details === undefined ? {} : { details });
}
