/** `POST /v1/chat/completions` and its variants. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import type { ApiContext } from '../context.js';
import { streamAnswer, wholeAnswer } from '../http/generate.js';
import { errorResponses, streamableResponse } from '../http/openApi.js';
import { answerHead } from './answerHead.js';
import { ChatStream, chatAnswer, type Extra } from './chatAnswer.js';
import { chatRequestSchema, toChatGeneration } from './chatRequest.js';
import { newCommandId } from './commandId.js';
import { GENERATION_CODES } from './generationCodes.js';

export interface ChatVariant {
  readonly url: string;
  readonly operationId: string;
  readonly summary: string;
  readonly body: z.ZodType;
  readonly chunk: z.ZodType;
  /** Fields that it adds to the answer. */
  readonly extra?: Extra;
}

export function registerChat(app: FastifyInstance, context: ApiContext, variant: ChatVariant): void {
  app.withTypeProvider<ZodTypeProvider>().post(
    variant.url,
    {
      schema: {
        summary: variant.summary,
        operationId: variant.operationId,
        tags: ['inference'],
        body: chatRequestSchema,
        response: {
          200: streamableResponse('The answer, or with `stream` its chunks', variant.body, variant.chunk),
          ...errorResponses(...GENERATION_CODES),
        },
      },
    },
    async (request, reply) => {
      const { body } = request;
      const generation = toChatGeneration(body, newCommandId('chatcmpl'));
      const exchange = { context, request, reply, generation };
      request.outcome.endUser = body.safety_identifier ?? body.user ?? undefined;
      const head = (object: string) => answerHead(generation, object, context.version);
      if (body.stream !== true) {
        return wholeAnswer(exchange, chatAnswer(head('chat.completion'), generation.choices, variant.extra));
      }
      const includeUsage = body.stream_options?.include_usage === true;
      const format = new ChatStream(
        head('chat.completion.chunk'),
        generation.choices,
        includeUsage,
        variant.extra,
      );
      await streamAnswer(exchange, format);
      return reply;
    },
  );
}
