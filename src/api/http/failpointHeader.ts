import type { FastifyRequest } from 'fastify';
import { ShoalError } from '../../shared/errors.js';
import { type Failpoint, parseFailpoint } from '../../shared/failpoints.js';
import type { ApiContext } from '../context.js';

const HEADER = 'x-shoal-failpoint';

/**
 * The failpoint that a request carries in its header, or null.
 * @throws {ShoalError} `invalid_request` when this node takes none, or there is none of that name
 */
export function requestedFailpoint(request: FastifyRequest, { failpoints }: ApiContext): Failpoint | null {
  const text = request.headers[HEADER];
  if (text === undefined) return null;
  const failpoint = failpoints === undefined ? null : parseFailpoint(String(text));
  if (failpoint !== null) return failpoint;
  const message =
    failpoints === undefined
      ? 'This node takes no failpoints. Leave out the header.'
      : 'There is no failpoint of this name.';
  throw new ShoalError('invalid_request', message, { param: HEADER });
}
