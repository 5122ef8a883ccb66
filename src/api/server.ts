/**
 * The HTTP API of a node. `createApiServer` wires protocols, access checks and error answers onto one Fastify
 * instance; the composition root listens and closes.
 */

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { join } from 'node:path';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { LIMITS, TIMES } from '../shared/limits.js';
import { packageRoot } from '../shared/packageRoot.js';
import { registerBench } from './bench/routes.js';
import { registerJoinToken } from './cluster/joinToken.js';
import { registerCluster } from './cluster/routes.js';
import type { ApiComponents, ApiContext } from './context.js';
import { type DashboardOptions, registerDashboard } from './dashboard/routes.js';
import { registerDebug } from './debug/routes.js';
import { createAccessCheck } from './http/access.js';
import { answerBrokenHttp } from './http/brokenHttp.js';
import { httpFault, sendFault } from './http/errors.js';
import { acceptOnlyJson } from './http/json.js';
import { Lifetimes } from './http/lifetime.js';
import { answerUnknownRoutes } from './http/notFound.js';
import { registerOpenApi } from './http/openApi.js';
import { logRequests } from './http/requestLog.js';
import { serializerCompiler, validatorCompiler } from './http/schema.js';
import { registerOpenAi } from './openai/routes.js';

export type { ApiComponents } from './context.js';

export interface ApiOptions {
  /** Address that the API will be bound to. On a loopback address, only loopback host names are answered. */
  readonly host: string;
  /** When there is one, every path but `/health` and the files of the page at `/` needs one of them. @default [] */
  readonly apiKeys?: readonly string[];
  /** Origins of web pages that may call; `*` = all. @default [] */
  readonly allowedOrigins?: readonly string[];
  /** Largest request body, in bytes. @default LIMITS.requestBodyBytes */
  readonly bodyLimitBytes?: number;
  /** Longest silence on a stream, in milliseconds. @default TIMES.keepAliveMs */
  readonly keepAliveMs?: number;
  /** How long after its deadline the API ends a request by itself, in milliseconds. @default TIMES.deadlineGraceMs */
  readonly deadlineGraceMs?: number;
  /** How long `close()` lets requests in flight go on, in milliseconds. @default TIMES.drainMs */
  readonly drainMs?: number;
  readonly dashboard?: DashboardOptions;
}

/**
 * The API over the parts of a node, not yet listening. `close()` refuses new requests with `not_ready`, lets those in
 * flight go on for `drainMs`, and ends the rest with a coded error.
 */
export function createApiServer(components: ApiComponents, options: ApiOptions): FastifyInstance {
  const context: ApiContext = {
    ...components,
    lifetimes: new Lifetimes(),
    keepAliveMs: options.keepAliveMs ?? TIMES.keepAliveMs,
    deadlineGraceMs: options.deadlineGraceMs ?? TIMES.deadlineGraceMs,
    version: productVersion(),
  };
  const app = Fastify<Server, IncomingMessage, ServerResponse, FastifyBaseLogger>({
    loggerInstance: components.log,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: requestId,
    bodyLimit: options.bodyLimitBytes ?? LIMITS.requestBodyBytes,
    requestTimeout: TIMES.requestReceiveMs,
    return503OnClosing: false,
    // A connection on which nothing moves for longer than any request may take; streams have their keep-alives.
    connectionTimeout: TIMES.requestDeadlineMs + TIMES.requestReceiveMs,
    // Closing does not wait for readers that stand still: `preClose` has given all of them their time.
    forceCloseConnections: true,
    http: { noDelay: true },
    routerOptions: { maxParamLength: LIMITS.pathSegmentCharacters },
    clientErrorHandler: answerBrokenHttp,
    frameworkErrors: (error, request, reply) => {
      sendFault(reply, httpFault(error, request.id));
    },
  });
  app.server.maxConnections = LIMITS.apiConnections;
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  acceptOnlyJson(app);
  logRequests(app, components.observer);
  app.addHook(
    'onRequest',
    createAccessCheck({
      apiKeys: options.apiKeys ?? [],
      allowedOrigins: options.allowedOrigins ?? [],
      host: options.host,
    }),
  );
  app.setErrorHandler((thrown, request, reply) => {
    const fault = httpFault(thrown, request.id);
    if (fault.code === 'internal_error') request.log.error({ err: thrown }, 'bug in a request');
    request.outcome.fault = fault;
    return sendFault(reply, fault);
  });
  answerUnknownRoutes(app);
  app.addHook('preClose', () => context.lifetimes.drain(options.drainMs ?? TIMES.drainMs));

  registerOpenApi(app, context.version);
  app.register(async (scope) => {
    registerOpenAi(scope, context);
    registerBench(scope, context);
    registerCluster(scope, context);
    registerJoinToken(scope, context, { host: options.host, hasKeys: (options.apiKeys ?? []).length > 0 });
    registerDashboard(scope, options.dashboard);
    registerDebug(scope, context);
  });
  return app;
}

const SAFE_REQUEST_ID = /^[\w-]{1,64}$/;

/** The caller's own request id when it is a harmless one, else a new one. */
function requestId(request: { headers: IncomingMessage['headers'] }): string {
  const sent = request.headers['x-request-id'];
  return typeof sent === 'string' && SAFE_REQUEST_ID.test(sent) ? sent : `req-${randomUUID()}`;
}

function productVersion(): string {
  const { version } = JSON.parse(readFileSync(join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return version;
}
