/** `POST /v1/cancel/{command_id}`. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { CommandId } from '../../shared/ids.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';

const cancelledSchema = z
  .object({ command_id: z.string(), cancelled: z.literal(true) })
  .meta({ id: 'Cancelled' });

export function registerCancel(app: FastifyInstance, { generations }: ApiContext): void {
  app.withTypeProvider<ZodTypeProvider>().post(
    '/v1/cancel/:command_id',
    {
      schema: {
        summary: 'End a request wherever it is',
        description: 'Any node of the cluster ends it, whichever one it was sent to.',
        operationId: 'cancel',
        tags: ['cluster'],
        params: z.object({ command_id: z.string().describe("The answer's `id` and header `x-command-id`.") }),
        response: {
          200: jsonResponse('It was ended', cancelledSchema),
          ...errorResponses('not_found', 'node_lost', 'deadline_exceeded'),
        },
      },
    },
    async (request) => {
      const { command_id: commandId } = request.params;
      if (!(await generations.cancel(commandId as CommandId))) {
        throw new ShoalError(
          'not_found',
          `No request "${commandId}" is running: it has ended, or never was.`,
          {
            param: 'command_id',
          },
        );
      }
      return { command_id: commandId, cancelled: true };
    },
  );
}
