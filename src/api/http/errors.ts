/** Faults as HTTP answers: status, headers and the OpenAI error object, which every room of the API shares. */
import type { FastifyReply } from 'fastify';
import { ERRORS, type Fault, ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';

/** The OpenAI error object. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly code: string;
    readonly param: string | null;
    readonly details?: Readonly<Record<string, unknown>>;
  };
}

export function errorBody(fault: Fault): ErrorBody {
  return {
    error: {
      message: fault.message,
      type: ERRORS[fault.code].type,
      code: fault.code,
      param: fault.param ?? null,
      ...(fault.details === undefined ? {} : { details: fault.details }),
    },
  };
}

const TOO_MANY_REQUESTS = 429;
const UNAVAILABLE = 503;
const UNAUTHORIZED = 401;
const FIRST_SERVER_ERROR = 500;

/** Answers with a fault: its status, its advice to clients as headers, and the error object. */
export function sendFault(reply: FastifyReply, fault: Fault): FastifyReply {
  const { status, retryable } = ERRORS[fault.code];
  if (status === TOO_MANY_REQUESTS || status === UNAVAILABLE) {
    reply.header('retry-after', String(Math.ceil((fault.retryAfterMs ?? TIMES.retryAfterMs) / 1000)));
  }
  if (status === UNAUTHORIZED) reply.header('www-authenticate', 'Bearer');
  // OpenAI's clients repeat every 5xx unless they are told that it is of no use.
  if (status >= FIRST_SERVER_ERROR && !retryable) reply.header('x-should-retry', 'false');
  return reply.code(status).type('application/json; charset=utf-8').send(errorBody(fault));
}

/** What Fastify reports about malformed HTTP, in the words of the catalogue. */
const FASTIFY_FAULTS: Readonly<Record<string, Fault>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: {
    code: 'request_too_large',
    message: 'The request body is larger than this node accepts. Send less; docs/limits.md has the limit.',
  },
  FST_ERR_CTP_INVALID_MEDIA_TYPE: {
    code: 'unsupported_media_type',
    message: 'The request body is not declared as JSON. Send it with `Content-Type: application/json`.',
  },
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: {
    code: 'invalid_request',
    message: 'The request body is not as long as its Content-Length says.',
  },
  FST_ERR_BAD_URL: { code: 'invalid_request', message: 'The path is not a valid URL path.' },
  FST_ERR_MAX_PARAM_LENGTH: { code: 'not_found', message: 'The path is longer than any that exists.' },
};

const FIRST_CLIENT_ERROR = 400;

/**
 * Any thrown value as a fault that may be shown to clients. What is neither coded nor a known HTTP mistake is a
 * bug: the client learns only the request id under which the log has the rest.
 */
export function httpFault(thrown: unknown, requestId: string): Fault {
  if (thrown instanceof ShoalError) {
    return thrown.code === 'internal_error' ? bug(requestId) : thrown.toFault();
  }
  const { code, statusCode } = (thrown ?? {}) as { code?: unknown; statusCode?: unknown };
  const known = typeof code === 'string' ? FASTIFY_FAULTS[code] : undefined;
  if (known !== undefined) return known;
  if (typeof statusCode === 'number' && statusCode >= FIRST_CLIENT_ERROR && statusCode < FIRST_SERVER_ERROR) {
    return { code: 'invalid_request', message: 'The HTTP request is malformed.' };
  }
  return bug(requestId);
}

function bug(requestId: string): Fault {
  return {
    code: 'internal_error',
    message: `A bug in Shoal ended this request. The node's log has the cause under request id ${requestId}.`,
  };
}
