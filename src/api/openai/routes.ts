/** The OpenAI protocol. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.js';
import { chatChunkSchema, chatCompletionSchema } from './chatAnswer.js';
import { registerChat } from './chatRoute.js';
import { registerCompletions } from './completionRoute.js';
import { registerModels } from './modelRoutes.js';

export function registerOpenAi(app: FastifyInstance, context: ApiContext): void {
  registerChat(app, context, {
    url: '/v1/chat/completions',
    operationId: 'createChatCompletion',
    summary: 'Answer a chat',
    body: chatCompletionSchema,
    chunk: chatChunkSchema,
  });
  registerCompletions(app, context);
  registerModels(app, context);
}
