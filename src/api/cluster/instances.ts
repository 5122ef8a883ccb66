/** `GET` and `DELETE /instance/{id}`. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { InstanceId } from '../../shared/ids.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';
import { entryOf, instanceSchema, readState } from './stateForm.js';

const tags = ['cluster'];
const params = z.object({ id: z.string().describe('Id of the instance.') });
const deletedSchema = z.object({ instance_id: z.string() }).meta({ id: 'InstanceDeleted' });
const ACCEPTED = 202;

export function registerInstances(app: FastifyInstance, { view, commands }: ApiContext): void {
  const typed = app.withTypeProvider<ZodTypeProvider>();
  typed.get(
    '/instance/:id',
    {
      schema: {
        summary: 'One instance of a model',
        operationId: 'instance',
        tags,
        params,
        response: { 200: jsonResponse('The instance', instanceSchema), ...errorResponses('not_found') },
      },
    },
    async (request) => {
      const instance = entryOf(readState(view).instances, request.params.id);
      if (instance !== null) return instance;
      throw new ShoalError(
        'not_found',
        `There is no instance ${request.params.id}. \`GET /state/instances\` lists those that are.`,
        { param: 'id' },
      );
    },
  );
  typed.delete(
    '/instance/:id',
    {
      schema: {
        summary: 'Delete an instance',
        description:
          'Its runners are stopped, and with them the requests that they serve. A repetition finds its work done and ' +
          'gets the same answer.',
        operationId: 'deleteInstance',
        tags,
        params,
        response: {
          202: jsonResponse('It is deleted; its runners are being stopped', deletedSchema),
          ...errorResponses('not_found', 'not_ready'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      await commands.deleteInstance(id as InstanceId);
      return reply.code(ACCEPTED).send({ instance_id: id });
    },
  );
}
