/** One log line and one observation for each HTTP request that ends, however it ends. Never a prompt, never a key. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { ERRORS, type Fault } from '../../shared/errors.js';
import type { GenerationStats } from '../../shared/generation.js';
import type { CommandId, InstanceId, ModelId } from '../../shared/ids.js';
import type { RequestObserver } from '../ports.js';

/** What is learnt about a request on its way, for its log line. */
interface RequestOutcome {
  commandId?: CommandId;
  modelId?: ModelId;
  instanceId?: InstanceId;
  /** The client's own name for the person or program that it works for (`user`, `safety_identifier`). */
  endUser?: string;
  stats?: GenerationStats;
  fault?: Fault;
}

declare module 'fastify' {
  interface FastifyRequest {
    outcome: RequestOutcome;
  }
}

/** Routes that machines and open dashboards poll: seen in metrics, and in the log only when they fail. */
const POLLED_ROUTES: ReadonlySet<string> = new Set([
  '/health',
  '/ready',
  '/metrics',
  '/state',
  '/state/:path',
  '/activity',
  '/node_id',
  '/assets/:name',
  '/favicon.svg',
]);
const CLIENT_CLOSED_REQUEST = ERRORS.cancelled.status;
const FIRST_SERVER_ERROR = 500;

export function logRequests(app: FastifyInstance, observer: RequestObserver): void {
  app.decorateRequest('outcome');
  app.addHook('onRequest', (request, reply, done) => {
    request.outcome = {};
    reply.header('x-request-id', request.id);
    // `close` comes exactly once, after an answer as well as after a broken connection.
    reply.raw.once('close', () => requestEnded(request, reply, observer));
    done();
  });
}

function requestEnded(request: FastifyRequest, reply: FastifyReply, observer: RequestObserver): void {
  const { outcome } = request;
  const status = statusOf(outcome, reply);
  const route = request.routeOptions.url ?? 'unmatched';
  const durationMs = reply.elapsedTime;
  observer.requestEnded({ route, status, durationMs });
  const level = status >= FIRST_SERVER_ERROR ? 'warn' : POLLED_ROUTES.has(route) ? 'debug' : 'info';
  request.log[level](
    {
      method: request.method,
      route,
      status,
      duration_ms: Math.round(durationMs),
      command_id: outcome.commandId,
      model: outcome.modelId,
      instance_id: outcome.instanceId,
      end_user: outcome.endUser,
      prompt_tokens: outcome.stats?.promptTokens,
      generated_tokens: outcome.stats?.generatedTokens,
      moves: outcome.stats?.moves,
      error_code: outcome.fault?.code,
      error_message: outcome.fault?.message,
    },
    'request ended',
  );
}

function statusOf(outcome: RequestOutcome, reply: FastifyReply): number {
  if (outcome.fault !== undefined) return ERRORS[outcome.fault.code].status;
  return reply.raw.writableFinished ? reply.raw.statusCode : CLIENT_CLOSED_REQUEST;
}
