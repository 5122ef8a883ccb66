/** `POST /v1/completions`. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { ApiContext } from '../context.js';
import { streamAnswer, wholeAnswer } from '../http/generate.js';
import { errorResponses, streamableResponse } from '../http/openApi.js';
import { answerHead } from './answerHead.js';
import { newCommandId } from './commandId.js';
import { CompletionStream, completionAnswer, completionSchema } from './completionAnswer.js';
import { completionRequestSchema, toCompletionGeneration } from './completionRequest.js';
import { GENERATION_CODES } from './generationCodes.js';

export function registerCompletions(app: FastifyInstance, context: ApiContext): void {
  app.withTypeProvider<ZodTypeProvider>().post(
    '/v1/completions',
    {
      schema: {
        summary: 'Continue a text',
        operationId: 'createCompletion',
        tags: ['inference'],
        body: completionRequestSchema,
        response: {
          200: streamableResponse(
            'The answer, or with `stream` its chunks',
            completionSchema,
            completionSchema,
          ),
          ...errorResponses(...GENERATION_CODES),
        },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const generation = toCompletionGeneration(body, newCommandId('cmpl'));
      const exchange = { context, request, reply, generation };
      request.outcome.endUser = body.user ?? undefined;
      const head = answerHead(generation, 'text_completion', context.version);
      if (body.stream !== true) return wholeAnswer(exchange, completionAnswer(head, generation.choices));
      const includeUsage = body.stream_options?.include_usage === true;
      await streamAnswer(exchange, new CompletionStream(head, generation.choices, includeUsage));
      return reply;
    },
  );
}
