/** `/node_id`, `/state` and its parts. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';
import { statePart } from './statePath.js';

const tags = ['cluster'];

export function registerState(app: FastifyInstance, { view }: ApiContext): void {
  const typed = app.withTypeProvider<ZodTypeProvider>();
  typed.get(
    '/node_id',
    {
      schema: {
        summary: 'Id of this node',
        operationId: 'nodeId',
        tags,
        response: { 200: jsonResponse('The id', z.string()), ...errorResponses() },
      },
    },
    // A string would be sent as plain text: it is JSON here.
    async (_request, reply) =>
      reply.type('application/json; charset=utf-8').send(JSON.stringify(view.nodeId)),
  );

  typed.get(
    '/state',
    {
      schema: {
        summary: 'The whole state',
        operationId: 'state',
        tags,
        response: { 200: jsonResponse('The state', z.record(z.string(), z.unknown())), ...errorResponses() },
      },
    },
    async () => view.state(),
  );

  const part = (path: string): string => {
    const found = statePart(view.state(), path.replace(/\/$/, ''));
    if (found !== undefined) return JSON.stringify(found);
    throw new ShoalError('not_found', 'The state has no such part. `GET /state` shows the whole.', {
      param: 'path',
    });
  };
  typed.get(
    '/state/:path',
    {
      schema: {
        summary: 'A part of the state',
        operationId: 'statePart',
        tags,
        params: z.object({ path: z.string().describe('Such as `nodes.ID.memory` or `nodes/ID/memory`.') }),
        response: { 200: jsonResponse('The part', z.unknown()), ...errorResponses('not_found') },
      },
    },
    async (request, reply) => reply.type('application/json; charset=utf-8').send(part(request.params.path)),
  );
  typed.get(
    '/state/*',
    { schema: { hide: true, params: z.object({ '*': z.string() }) } },
    async (request, reply) => reply.type('application/json; charset=utf-8').send(part(request.params['*'])),
  );
}
