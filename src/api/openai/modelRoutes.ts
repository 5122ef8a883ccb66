/** `GET /v1/models`, `/models` and `/v1/models/{id}`. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';
import { isHere, modelListSchema, modelSchema, toModel } from './models.js';

const listQuery = z.strictObject({
  status: z.literal('downloaded').optional().describe('Only models whose file is on this node.'),
});

export function registerModels(app: FastifyInstance, context: ApiContext): void {
  const typed = app.withTypeProvider<ZodTypeProvider>();
  for (const [url, operationId] of [
    ['/v1/models', 'listModels'],
    ['/models', 'listModelsPlain'],
  ] as const) {
    typed.get(
      url,
      {
        schema: {
          summary: 'Models that this node knows, or that another one serves',
          operationId,
          tags: ['inference'],
          querystring: listQuery,
          response: { 200: jsonResponse('The models', modelListSchema), ...errorResponses() },
        },
      },
      async (request) => {
        const all = await context.view.models();
        const asked = request.query.status === 'downloaded' ? all.filter(isHere) : all;
        return { object: 'list', data: asked.map(toModel) };
      },
    );
  }

  const find = async (id: string) => {
    const listing = (await context.view.models()).find((model) => model.modelId === id);
    if (listing !== undefined) return toModel(listing);
    throw new ShoalError(
      'model_not_found',
      `No model "${id}" is known. \`GET /v1/models\` lists those that are.`,
      {
        param: 'model',
      },
    );
  };
  typed.get(
    '/v1/models/:id',
    {
      schema: {
        summary: 'One model',
        operationId: 'retrieveModel',
        tags: ['inference'],
        params: z.object({ id: z.string() }),
        response: { 200: jsonResponse('The model', modelSchema), ...errorResponses('model_not_found') },
      },
    },
    async (request) => find(request.params.id),
  );
  // Ids of the form `owner/name` when the slash is not escaped.
  typed.get(
    '/v1/models/*',
    { schema: { hide: true, params: z.object({ '*': z.string() }) } },
    async (request) => find(request.params['*']),
  );
}
