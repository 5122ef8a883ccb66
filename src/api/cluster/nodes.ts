/** `POST /nodes/{id}/forget`. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { NodeId } from '../../shared/ids.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';
import { entryOf, readState } from './stateForm.js';

const forgottenSchema = z.object({ node_id: z.string() }).meta({ id: 'NodeForgotten' });

export function registerNodes(app: FastifyInstance, { view, commands }: ApiContext): void {
  app.withTypeProvider<ZodTypeProvider>().post(
    '/nodes/:id/forget',
    {
      schema: {
        summary: "Drop a dead node's record",
        description:
          'Only a dead node can be forgotten; `invalid_request` names the status of one that is not. It is welcome ' +
          'again whenever it comes back.',
        operationId: 'forgetNode',
        tags: ['cluster'],
        params: z.object({ id: z.string().describe('Id of the node.') }),
        response: {
          200: jsonResponse('It is forgotten', forgottenSchema),
          ...errorResponses('not_found', 'not_ready'),
        },
      },
    },
    async (request) => {
      const { id } = request.params;
      requireNode(view, id, 'id');
      await commands.forgetNode(id as NodeId);
      return { node_id: id };
    },
  );
}

/** @throws {ShoalError} `not_found` when the state has no such node */
export function requireNode(view: ApiContext['view'], nodeId: string, param: string): void {
  if (entryOf(readState(view).nodes, nodeId) !== null) return;
  throw new ShoalError(
    'not_found',
    `There is no node ${nodeId}. \`GET /state/nodes\` lists those that are.`,
    {
      param,
    },
  );
}
