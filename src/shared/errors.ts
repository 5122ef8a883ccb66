/**
 * The catalogue of coded errors. A fault that crosses a process or the wire is data with one of these codes;
 * anything else that is thrown is a bug. docs/errors.md is generated from this table.
 */
interface ErrorKind {
  /** HTTP status when it is known before the first byte. */
  readonly status: number;
  /** The `type` of the OpenAI error object. */
  readonly type: string;
  /** May the same request succeed when it is sent again, or elsewhere? */
  readonly retryable: boolean;
  /** What it means. */
  readonly meaning: string;
  /** What the user can do. */
  readonly remedy: string;
}

export const ERRORS = {
  invalid_request: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The request is malformed: a field is missing, of the wrong type or out of range.',
    remedy: 'Correct the field that `param` names.',
  },
  unsupported_parameter: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The parameter is known but not honoured, and is refused rather than ignored.',
    remedy: 'Leave out the parameter that `param` names.',
  },
  context_length_exceeded: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'Prompt and answer together do not fit into the context of the model as it was loaded.',
    remedy: 'Shorten the prompt, ask for fewer tokens, or load the model with a larger context.',
  },
  template_error: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: "The model's chat template refused the messages.",
    remedy: 'Use the roles, in the order, that the model supports; the message quotes the template.',
  },
  unauthorized: {
    status: 401,
    type: 'authentication_error',
    retryable: false,
    meaning: 'An API key is required and none, or a wrong one, was sent.',
    remedy: 'Send `Authorization: Bearer KEY` with a key that the node was started with.',
  },
  forbidden_origin: {
    status: 403,
    type: 'permission_error',
    retryable: false,
    meaning: 'A web page of another origin, or a foreign host name, called the API.',
    remedy: 'Start the node with `--allow-origin ORIGIN` when that page shall have access.',
  },
  not_found: {
    status: 404,
    type: 'not_found_error',
    retryable: false,
    meaning: 'There is nothing at this path, or no object with this id.',
    remedy: 'Look at `/openapi.json` for paths and at `/state` for ids.',
  },
  model_not_found: {
    status: 404,
    type: 'not_found_error',
    retryable: false,
    meaning: 'No model of this name is known.',
    remedy: 'Run `shoal models list`, or start the node with `--models DIR`.',
  },
  no_instance: {
    status: 404,
    type: 'not_found_error',
    retryable: true,
    meaning: 'No instance of the model is running: nobody wants one, or there is no place for it.',
    remedy:
      'Start one with `shoal deploy MODEL`; where it waits for a place, the message says what is lacking.',
  },
  no_cluster: {
    status: 404,
    type: 'not_found_error',
    retryable: false,
    meaning: 'No node was ever started with this home folder, so it belongs to no cluster.',
    remedy:
      'Start one with `shoal up`, join others with `shoal join TOKEN`, or name another folder with `--home`.',
  },
  all_instances_failed: {
    status: 503,
    type: 'server_error',
    retryable: true,
    meaning: 'Every instance of the model has failed.',
    remedy:
      'Wait for as long as `Retry-After` says; what is not tried any more is tried again by `shoal retry MODEL`.',
  },
  method_not_allowed: {
    status: 405,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The path exists, but not for this HTTP method.',
    remedy: 'Use the method that the `Allow` header names.',
  },
  request_too_large: {
    status: 413,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The request body is larger than the limit.',
    remedy: 'Send less; docs/limits.md has the limit.',
  },
  unsupported_media_type: {
    status: 415,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The request body is not JSON.',
    remedy: 'Send JSON with `Content-Type: application/json`.',
  },
  idempotency_key_reused: {
    status: 422,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'A request with the same `Idempotency-Key` asked for something else before.',
    remedy:
      'Send a key of its own with each thing that you ask for, and the same one only when you repeat it.',
  },
  queue_full: {
    status: 429,
    type: 'rate_limit_error',
    retryable: true,
    meaning: 'As many requests as are allowed are waiting already.',
    remedy: 'Try again after the seconds that `Retry-After` names.',
  },
  cancelled: {
    status: 499,
    type: 'cancelled',
    retryable: false,
    meaning: 'The client, or `POST /v1/cancel/{command_id}`, ended the request.',
    remedy: 'Nothing to do.',
  },
  internal_error: {
    status: 500,
    type: 'server_error',
    retryable: false,
    meaning: 'A bug in Shoal.',
    remedy: 'Please report it with the log lines of this request id.',
  },
  engine_error: {
    status: 500,
    type: 'server_error',
    retryable: true,
    meaning: 'The engine could not compute a step of this sequence.',
    remedy: 'Try again; when it stays, `shoal doctor` and the log of the runner help.',
  },
  runner_failed: {
    status: 502,
    type: 'server_error',
    retryable: true,
    meaning: 'The process that ran the model ended, or was ended, before the request was done.',
    remedy: 'Try again: it is being restarted. The message names the cause.',
  },
  node_lost: {
    status: 502,
    type: 'server_error',
    retryable: true,
    meaning: 'Another node that the request needed was lost: it ended, or the link to it broke.',
    remedy: 'Try again; `shoal status` shows which nodes are there. The message names the node.',
  },
  peer_protocol_error: {
    status: 502,
    type: 'server_error',
    retryable: true,
    meaning: 'Another node said something that this one does not understand.',
    remedy: 'Run the same version of Shoal on all nodes; the message names the node.',
  },
  not_ready: {
    status: 503,
    type: 'server_error',
    retryable: true,
    meaning: 'The node is starting, stopping, or not up to date.',
    remedy: 'Try again in a few seconds.',
  },
  deadline_exceeded: {
    status: 504,
    type: 'timeout_error',
    retryable: true,
    meaning: 'The request did not end within its deadline; the message names the phase.',
    remedy: 'Ask for less, allow more time with `deadline_ms`, or add an instance.',
  },
  client_too_slow: {
    status: 408,
    type: 'timeout_error',
    retryable: false,
    meaning:
      'The client did not send its whole request in time, or did not read its stream, and the buffer for it ran full.',
    remedy: 'Send the request in one go, and read the stream as it comes.',
  },
  model_unsupported: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The model file cannot be run; the message names its architecture or what is broken.',
    remedy: '`shoal models list` shows what can run, and why not.',
  },
  sharding_unsupported: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning:
      'The model cannot be cut into shards there, or fails the self-test of its shards on this machine.',
    remedy: 'Run it whole on one node; docs/models.md has which architectures can be cut, and where.',
  },
  model_load_failed: {
    status: 500,
    type: 'server_error',
    retryable: false,
    meaning: 'The engine could not load the model file.',
    remedy: 'The message has the last lines of the engine; check file, memory and driver.',
  },
  placement_impossible: {
    status: 400,
    type: 'invalid_request_error',
    retryable: false,
    meaning: 'The nodes cannot take the model as it was asked for; `details.nodes` has the reason of each.',
    remedy:
      'Ask for what there is, add a node, use a smaller quantisation or context, or offer more with `--memory`.',
  },
  storage_failed: {
    status: 500,
    type: 'server_error',
    retryable: true,
    meaning: 'The disk does not take, or does not give back, what this node keeps.',
    remedy: 'Free space in the home folder and look at the disk; the node goes on in memory and tries again.',
  },
  engine_unavailable: {
    status: 500,
    type: 'server_error',
    retryable: false,
    meaning: 'The native engine is missing, of another version, or fails its self-test.',
    remedy: 'Run `shoal doctor`; `npm ci` installs the package for this platform.',
  },
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** A coded fault as plain data: what crosses process and wire. */
export interface Fault {
  readonly code: ErrorCode;
  readonly message: string;
  /** The request field at fault, in the client's spelling. */
  readonly param?: string;
  readonly details?: Readonly<Record<string, unknown>>;
  /** When another try may succeed, where that is known. */
  readonly retryAfterMs?: number;
}

/** Has it what every fault has, a known code and a message? The rest is for the reader to check: it may come from anywhere. */
export function isFault<Value>(value: Value): value is Value & Pick<Fault, 'code' | 'message'> {
  const { code, message } = (value ?? {}) as Record<string, unknown>;
  return typeof code === 'string' && Object.hasOwn(ERRORS, code) && typeof message === 'string';
}

/** A coded fault as an exception. Its message says what, why and, where it helps, what to do. */
export class ShoalError extends Error {
  readonly code: ErrorCode;
  readonly param: string | undefined;
  readonly details: Readonly<Record<string, unknown>> | undefined;
  readonly retryAfterMs: number | undefined;

  constructor(
    code: ErrorCode,
    message?: string,
    more: Partial<Pick<Fault, 'param' | 'details' | 'retryAfterMs'>> & { readonly cause?: unknown } = {},
  ) {
    super(message ?? ERRORS[code].meaning, more.cause === undefined ? undefined : { cause: more.cause });
    this.name = 'ShoalError';
    this.code = code;
    this.param = more.param;
    this.details = more.details;
    this.retryAfterMs = more.retryAfterMs;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }

  toFault(): Fault {
    return {
      code: this.code,
      message: this.message,
      ...(this.param === undefined ? {} : { param: this.param }),
      ...(this.details === undefined ? {} : { details: this.details }),
      ...(this.retryAfterMs === undefined ? {} : { retryAfterMs: this.retryAfterMs }),
    };
  }

  static fromFault(fault: Fault): ShoalError {
    return new ShoalError(fault.code, fault.message, fault);
  }
}

/** Any thrown value as a fault; what is not coded is a bug and becomes `internal_error`. */
export function toFault(thrown: unknown): Fault {
  if (thrown instanceof ShoalError) return thrown.toFault();
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { code: 'internal_error', message };
}
