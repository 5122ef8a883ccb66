/** Coded answers for paths that do not exist, and for paths that exist with another method. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import type { Fault } from '../../shared/errors.js';
import { sendFault } from './errors.js';

interface KnownPath {
  readonly pattern: RegExp;
  readonly methods: Set<string>;
}

/** Must be called before any route is registered: it learns the routes as they come. */
export function answerUnknownRoutes(app: FastifyInstance): void {
  const paths = new Map<string, KnownPath>();
  app.addHook('onRoute', (route) => {
    const known = paths.get(route.url) ?? { pattern: toPattern(route.url), methods: new Set<string>() };
    for (const method of [route.method].flat()) known.methods.add(method);
    paths.set(route.url, known);
  });
  app.setNotFoundHandler((request, reply) => {
    const allowed = allowedMethods(request, [...paths.values()]);
    return answer(request, reply, allowed);
  });
}

function answer(request: FastifyRequest, reply: FastifyReply, allowed: readonly string[]): FastifyReply {
  const fault: Fault =
    allowed.length === 0
      ? { code: 'not_found', message: 'There is nothing at this path. `/openapi.json` lists the paths.' }
      : {
          code: 'method_not_allowed',
          message: `This path does not take ${request.method}. It takes ${allowed.join(', ')}.`,
        };
  if (allowed.length > 0) reply.header('allow', allowed.join(', '));
  request.outcome.fault = fault;
  return sendFault(reply, fault);
}

function allowedMethods(request: FastifyRequest, paths: readonly KnownPath[]): string[] {
  const path = request.url.split('?', 1)[0] as string;
  const methods = new Set<string>();
  for (const known of paths) {
    if (known.pattern.test(path)) for (const method of known.methods) methods.add(method);
  }
  return [...methods].sort();
}

/** `/a/:b/*` as a regular expression without backtracking traps: each part matches within one segment. */
function toPattern(route: string): RegExp {
  const source = route
    .split('/')
    .map((part) => {
      if (part === '*') return '.*';
      if (part.startsWith(':')) return '[^/]+';
      return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    })
    .join('/');
  return new RegExp(`^${source}$`);
}
