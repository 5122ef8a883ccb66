/** `GET /activity`: the last hour of the cluster in samples. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { HourSample } from '../../shared/lastHour.js';
import { TIMES } from '../../shared/limits.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse } from '../http/openApi.js';

const numbers = z.array(z.number());
const MEANINGS = {
  at_ms: 'When each sample was taken, in milliseconds since the epoch; oldest first.',
  completed: 'Requests that ended well since the sample before.',
  failed: 'Requests that failed since then.',
  cancelled: 'Requests that were cancelled since then.',
  runner_failures: 'Runners that failed since then.',
  generated_tokens: 'Tokens that were generated since then.',
  running: 'Requests that were assigned and had not ended.',
  queued: 'Those of them that waited for a place in a batch.',
  memory_used_bytes: 'Memory in use, of all nodes that were alive.',
  memory_total_bytes: 'Their memory.',
} as const;
const FIELDS: Readonly<Record<keyof typeof MEANINGS, keyof HourSample>> = {
  at_ms: 'atMs',
  completed: 'completed',
  failed: 'failed',
  cancelled: 'cancelled',
  runner_failures: 'runnerFailures',
  generated_tokens: 'generatedTokens',
  running: 'running',
  queued: 'queued',
  memory_used_bytes: 'memoryUsedBytes',
  memory_total_bytes: 'memoryTotalBytes',
};
const activitySchema = z
  .object({
    step_ms: z.number().describe('Time between two samples; the last one is newer.'),
    ...Object.fromEntries(
      Object.entries(MEANINGS).map(([name, meaning]) => [name, numbers.describe(meaning)]),
    ),
  })
  .meta({ id: 'Activity' });

export function registerActivity(app: FastifyInstance, { view }: ApiContext): void {
  app.get(
    '/activity',
    {
      schema: {
        summary: 'The last hour of the cluster',
        description:
          'Samples as this node took them, in columns of one length; it has none of the time before its start. The ' +
          'last sample is of this moment.',
        operationId: 'activity',
        tags: ['cluster'],
        response: { 200: jsonResponse('The samples', activitySchema), ...errorResponses() },
      },
    },
    async () => {
      const samples = view.lastHour();
      const columns = Object.entries(FIELDS).map(([name, field]) => [
        name,
        samples.map((sample) => sample[field]),
      ]);
      return { step_ms: TIMES.hourStepMs, ...Object.fromEntries(columns) };
    },
  );
}
