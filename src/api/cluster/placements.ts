/** Instances that nobody watches over, and what placement would do: `/place_instance`, `/instance`, its placement. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';
import { idempotencyKeyOf, keyHeadersSchema } from './idempotencyKey.js';
import { placementForm, placementSchema, previewForm, previewSchema, toInstance } from './placementForm.js';
import { entryOf, instanceSchema, readState } from './stateForm.js';
import { toWish, wishOfQuery, wishQuerySchema, wishSchema } from './wish.js';

const tags = ['cluster'];
const ACCEPTED = 202;
const placedSchema = z
  .object({
    instance_id: z.string(),
    instance: instanceSchema.nullable().describe('Null when it is gone again already.'),
  })
  .meta({ id: 'InstancePlaced' });
const previewsSchema = z.object({ previews: z.array(previewSchema) }).meta({ id: 'PlacementPreviews' });

export function registerPlacements(app: FastifyInstance, { view, commands }: ApiContext): void {
  const typed = app.withTypeProvider<ZodTypeProvider>();
  const refusals = errorResponses(
    'model_not_found',
    'model_unsupported',
    'placement_impossible',
    'not_ready',
  );
  const made = {
    202: jsonResponse('It is created, and starts', placedSchema),
    ...refusals,
    ...errorResponses('idempotency_key_reused'),
  };
  const answer = (id: string) => ({
    instance_id: id,
    instance: entryOf(readState(view).instances, id),
  });

  typed.post(
    '/place_instance',
    {
      schema: {
        summary: 'Place a model once',
        description:
          'The instance is not made again when its nodes are lost; a MetaInstance is. What does not fit now is refused ' +
          'with the reason of each node.',
        operationId: 'placeInstance',
        tags,
        headers: keyHeadersSchema,
        body: wishSchema,
        response: made,
      },
    },
    async (request, reply) => {
      const id = await commands.placeInstance(toWish(request.body), idempotencyKeyOf(request.headers));
      return reply.code(ACCEPTED).send(answer(id));
    },
  );
  typed.post(
    '/instance',
    {
      schema: {
        summary: 'Create an instance on these nodes',
        description:
          'As `/instance/placement` answered it, or changed. It is not made again when its nodes are lost.',
        operationId: 'createInstance',
        tags,
        headers: keyHeadersSchema,
        body: z.strictObject({ instance: placementSchema }),
        response: made,
      },
    },
    async (request, reply) => {
      const instance = toInstance(request.body.instance);
      const id = await commands.createInstance(instance, idempotencyKeyOf(request.headers));
      return reply.code(ACCEPTED).send(answer(id));
    },
  );
  typed.get(
    '/instance/placement',
    {
      schema: {
        summary: 'Where a model would be placed',
        description: 'Nothing is created. The answer may be sent to `POST /instance` as its `instance`.',
        operationId: 'instancePlacement',
        tags,
        querystring: wishQuerySchema,
        response: { 200: jsonResponse('What would be placed', placementSchema), ...refusals },
      },
    },
    async (request) => {
      const wish = wishOfQuery(request.query);
      return placementForm(wish.modelId, await commands.placement(wish));
    },
  );
  typed.get(
    '/instance/previews',
    {
      schema: {
        summary: 'Every way to place a model',
        description:
          'For each number of nodes, sharding and transport: the placement with its memory by node, or why not. ' +
          '`sharding`, `transport` and `min_nodes` of the query change nothing.',
        operationId: 'instancePreviews',
        tags,
        querystring: wishQuerySchema,
        response: { 200: jsonResponse('The ways', previewsSchema), ...refusals },
      },
    },
    async (request) => {
      const wish = wishOfQuery(request.query);
      const previews = await commands.previews(wish);
      return { previews: previews.map((preview) => previewForm(wish.modelId, preview)) };
    },
  );
}
