/** `POST /bench/chat/completions`: a chat that also says how fast it was. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.js';
import { chatChunkSchema, chatCompletionSchema } from '../openai/chatAnswer.js';
import { registerChat } from '../openai/chatRoute.js';
import { generationStatsSchema, toGenerationStats } from './generationStats.js';

export function registerBench(app: FastifyInstance, context: ApiContext): void {
  registerChat(app, context, {
    url: '/bench/chat/completions',
    operationId: 'benchChatCompletion',
    summary: 'Answer a chat, with statistics. In a stream they stand in the last chunk.',
    body: chatCompletionSchema
      .extend({ generation_stats: generationStatsSchema })
      .meta({ id: 'BenchChatCompletion' }),
    chunk: chatChunkSchema
      .extend({ generation_stats: generationStatsSchema.optional() })
      .meta({ id: 'BenchChatCompletionChunk' }),
    extra: (stats, choices) => ({ generation_stats: toGenerationStats(stats, choices) }),
  });
}
