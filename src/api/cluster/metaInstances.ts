/** What users want to run: `/meta_instance`, `/meta_instances`. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { MetaInstanceId } from '../../shared/ids.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';
import { idempotencyKeyOf, keyHeadersSchema } from './idempotencyKey.js';
import { entryOf, metaInstanceSchema, readState } from './stateForm.js';
import { toWish, wishSchema } from './wish.js';

const tags = ['cluster'];
const params = z.object({ id: z.string().describe('Id of the MetaInstance.') });
const takenSchema = z
  .object({
    meta_instance_id: z.string(),
    meta_instance: metaInstanceSchema.nullable().describe('Null when it is gone again already.'),
  })
  .meta({ id: 'MetaInstanceTaken' });
const namedSchema = z.object({ meta_instance_id: z.string() }).meta({ id: 'MetaInstanceNamed' });
const CREATED = 201;
const ACCEPTED = 202;

export function registerMetaInstances(app: FastifyInstance, { view, commands }: ApiContext): void {
  const typed = app.withTypeProvider<ZodTypeProvider>();
  const all = () => readState(view).meta_instances;

  typed.post(
    '/meta_instance',
    {
      schema: {
        summary: 'Say what shall run',
        description:
          'It is placed, watched, started anew and placed elsewhere until it is deleted. What fits once nodes are back ' +
          'or memory is free is taken and waits; what can never fit is refused with the reason of each node.',
        operationId: 'createMetaInstance',
        tags,
        headers: keyHeadersSchema,
        body: wishSchema,
        response: {
          201: jsonResponse('It is taken', takenSchema),
          ...errorResponses(
            'model_not_found',
            'model_unsupported',
            'placement_impossible',
            'idempotency_key_reused',
            'queue_full',
            'not_ready',
          ),
        },
      },
    },
    async (request, reply) => {
      const id = await commands.createMetaInstance(toWish(request.body), idempotencyKeyOf(request.headers));
      return reply.code(CREATED).send({ meta_instance_id: id, meta_instance: entryOf(all(), id) });
    },
  );
  typed.get(
    '/meta_instances',
    {
      schema: {
        summary: 'What users want to run, and how far it is',
        operationId: 'metaInstances',
        tags,
        response: { 200: jsonResponse('All of them', z.array(metaInstanceSchema)), ...errorResponses() },
      },
    },
    async () => Object.values(all()),
  );
  typed.get(
    '/meta_instance/:id',
    {
      schema: {
        summary: 'One MetaInstance',
        operationId: 'metaInstance',
        tags,
        params,
        response: { 200: jsonResponse('It', metaInstanceSchema), ...errorResponses('not_found') },
      },
    },
    async (request) => {
      const found = entryOf(all(), request.params.id);
      if (found !== null) return found;
      throw new ShoalError(
        'not_found',
        `There is no MetaInstance ${request.params.id}. \`GET /meta_instances\` lists those that are.`,
        { param: 'id' },
      );
    },
  );
  typed.delete(
    '/meta_instance/:id',
    {
      schema: {
        summary: 'Take a MetaInstance back',
        description:
          'Its instances are deleted with it, and the requests that they serve are cancelled. A repetition finds its ' +
          'work done and gets the same answer.',
        operationId: 'deleteMetaInstance',
        tags,
        params,
        response: {
          202: jsonResponse('It is taken back; its runners are being stopped', namedSchema),
          ...errorResponses('not_found', 'not_ready'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      await commands.deleteMetaInstance(id as MetaInstanceId);
      return reply.code(ACCEPTED).send({ meta_instance_id: id });
    },
  );
  typed.post(
    '/meta_instance/:id/retry',
    {
      schema: {
        summary: 'Try a MetaInstance again, now',
        description:
          'As if it had never been tried: its failures are forgiven, and no node is avoided for them. One that is ' +
          'served goes on undisturbed.',
        operationId: 'retryMetaInstance',
        tags,
        params,
        response: {
          202: jsonResponse('It is tried again', takenSchema),
          ...errorResponses('not_found', 'not_ready'),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params;
      await commands.retryMetaInstance(id as MetaInstanceId);
      return reply.code(ACCEPTED).send({ meta_instance_id: id, meta_instance: entryOf(all(), id) });
    },
  );
}
