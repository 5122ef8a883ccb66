import type { FastifyRequest } from 'fastify';
import { ShoalError } from '../../shared/errors.js';
import { type Failpoint, isOfRequest, parseFailpoint } from '../../shared/failpoints.js';
import type { ApiContext } from '../context.js';

const HEADER = 'x-shoal-failpoint';

/**
 * The failpoint that a request carries in its header, or null.
 * @throws {ShoalError} `invalid_request` when this node takes none, or there is none of that name for a request
 */
export function requestedFailpoint(request: FastifyRequest, { failpoints }: ApiContext): Failpoint | null {
  const text = request.headers[HEADER];
  if (text === undefined) return null;
  const failpoint = failpoints === undefined ? null : parseFailpoint(String(text));
  if (failpoint !== null && isOfRequest(failpoint)) return failpoint;
  throw new ShoalError('invalid_request', refusal(failpoint, failpoints !== undefined), { param: HEADER });
}

function refusal(failpoint: Failpoint | null, areTaken: boolean): string {
  if (!areTaken) return 'This node takes no failpoints. Leave out the header.';
  if (failpoint === null) return 'There is no failpoint of this name.';
  return `No request can carry ${failpoint.name}: \`POST /debug/failpoints\` causes it.`;
}
