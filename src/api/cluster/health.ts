/** `/health`, `/ready` and `/metrics`: what those ask who watch the node. */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import type { ApiContext } from '../context.js';
import { errorResponses, jsonResponse, textResponse } from '../http/openApi.js';

const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const tags = ['cluster'];

export function registerHealth(app: FastifyInstance, { view, lifetimes }: ApiContext): void {
  app.get(
    '/health',
    {
      schema: {
        summary: 'Does the process serve?',
        operationId: 'health',
        tags,
        response: {
          200: jsonResponse('It does', z.object({ status: z.literal('ok'), node_id: z.string() })),
          ...errorResponses(),
        },
      },
    },
    async () => ({ status: 'ok', node_id: view.nodeId }),
  );

  app.get(
    '/ready',
    {
      schema: {
        summary: 'May requests be sent here?',
        operationId: 'ready',
        tags,
        response: {
          200: jsonResponse('They may', z.object({ status: z.literal('ready'), node_id: z.string() })),
          ...errorResponses('not_ready'),
        },
      },
    },
    async () => {
      const reason = lifetimes.draining ? 'the node is stopping' : view.notReadyReason();
      if (reason !== null) throw new ShoalError('not_ready', `This node is not ready: ${reason}.`);
      return { status: 'ready', node_id: view.nodeId };
    },
  );

  app.get(
    '/metrics',
    {
      schema: {
        summary: 'Metrics for Prometheus',
        operationId: 'metrics',
        tags,
        response: { 200: textResponse('Prometheus text format', 'text/plain'), ...errorResponses() },
      },
    },
    async (_request, reply) =>
      reply
        .type(METRICS_TYPE)
        .serializer(String)
        .send(await view.metrics()),
  );
}
