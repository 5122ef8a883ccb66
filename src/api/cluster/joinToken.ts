/**
 * `POST /join_token`: the join token, a secret that outlives the caller's visit. The access check has met strangers and
 * rebound names by then; here come the refusals that only a secret needs. docs/api.md says why that is enough.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { ApiContext } from '../context.js';
import { isLoopback, isSameOrigin } from '../http/access.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';

const tokenSchema = z
  .object({ token: z.string().describe('For `shoal join TOKEN`. Whoever has it can join the cluster.') })
  .meta({ id: 'JoinToken' });
/** What proxies add: behind one, everybody looks like this machine. */
const PROXY_HEADERS = ['forwarded', 'x-forwarded-for', 'x-forwarded-host', 'x-real-ip', 'via'] as const;
const INSTEAD = '`shoal token` on a machine of the cluster prints it.';

export interface JoinTokenAccess {
  /** Address that the API is bound to. */
  readonly host: string;
  readonly hasKeys: boolean;
}

export function registerJoinToken(
  app: FastifyInstance,
  { joinToken }: Pick<ApiContext, 'joinToken'>,
  access: JoinTokenAccess,
): void {
  app.post(
    '/join_token',
    {
      schema: {
        summary: 'The join token of the cluster',
        description:
          'For a person who brings another machine in. Needs an API key where the API is not on loopback, and is ' +
          'refused to web pages of other origins, allowed ones included. It is in no log and must not be stored.',
        operationId: 'joinToken',
        tags: ['cluster'],
        response: { 200: jsonResponse('The token', tokenSchema), ...errorResponses('forbidden_origin') },
      },
    },
    async (request, reply) => {
      reply.header('cache-control', 'no-store');
      refuseOtherPages(request);
      if (!access.hasKeys) refuseStrangers(request, access.host);
      request.log.info('the join token was given to a caller of the API');
      return { token: joinToken() };
    },
  );
}

/** `--allow-origin` lets a page use models; it does not make it a member of the cluster. */
function refuseOtherPages({ headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site'];
  const isOther = headers.origin !== undefined && !isSameOrigin(headers.origin, headers.host);
  if (!isOther && (site === undefined || site === 'same-origin' || site === 'none')) return;
  throw new ShoalError(
    'forbidden_origin',
    `Only the page of this node may ask for the join token. ${INSTEAD}`,
  );
}

/** Without a key there is only the way that a request came. */
function refuseStrangers({ headers }: FastifyRequest, host: string): void {
  if (isLoopback(host) && PROXY_HEADERS.every((name) => headers[name] === undefined)) return;
  throw new ShoalError(
    'unauthorized',
    `Without an API key, only callers on this machine itself get the join token. Start the node with \`--api-key\`, or: ${INSTEAD}`,
  );
}
