/**
 * The dashboard at `/`: the page for browsers, and a plain page that names the addresses for everybody else, or when
 * no dashboard was built. Page and files say nothing about the cluster and need no API key: the page asks for it.
 */
import { join } from 'node:path';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import { packageRoot } from '../../shared/packageRoot.js';
import { errorResponses, textResponse } from '../http/openApi.js';
import { type DashboardFile, pickBody, readDashboard } from './files.js';
import { PLAIN_PAGE, PLAIN_POLICY } from './welcome.js';

const NOT_MODIFIED = 304;
const A_YEAR_S = 31_536_000;
/** What the page may do: its own files and calls to this node, nothing inline, and no string becomes markup unseen. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  'trusted-types svelte-trusted-html dompurify',
].join('; ');
const SAFETY = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
} as const;
const config = { needsNoKey: true } as const;

export interface DashboardOptions {
  /** Where the built dashboard is. @default `dashboard/dist` of this package */
  readonly folder?: string;
}

export function registerDashboard(app: FastifyInstance, options: DashboardOptions = {}): void {
  const files = readDashboard(options.folder ?? join(packageRoot(), 'dashboard', 'dist'));
  const page = files?.get('index.html');
  app.get(
    '/',
    {
      config,
      schema: {
        summary: 'The dashboard, or a page that names the addresses',
        operationId: 'dashboard',
        tags: ['cluster'],
        response: { 200: textResponse('The page', 'text/html'), ...errorResponses() },
      },
    },
    async (request, reply) => {
      reply.headers({ ...SAFETY, vary: 'Accept, Accept-Encoding', 'x-frame-options': 'DENY' });
      if (page === undefined || !wantsPage(request)) {
        return reply
          .type('text/html; charset=utf-8')
          .header('content-security-policy', PLAIN_POLICY)
          .serializer(String)
          .send(PLAIN_PAGE);
      }
      reply.header('content-security-policy', POLICY).header('cross-origin-opener-policy', 'same-origin');
      return send(request, reply, page, 'no-cache');
    },
  );
  if (files === null) return;
  app.get('/favicon.svg', { config, schema: { hide: true } }, async (request, reply) =>
    send(request, reply, known(files, 'favicon.svg'), 'no-cache'),
  );
  app.get(
    '/assets/:name',
    { config, schema: { hide: true, params: z.object({ name: z.string() }) } },
    async (request, reply) => {
      const { name } = request.params as { name: string };
      // The name holds a hash of the content: another content has another name.
      const caching = `public, max-age=${A_YEAR_S}, immutable`;
      return send(request, reply, known(files, `assets/${name}`), caching);
    },
  );
}

function wantsPage(request: FastifyRequest): boolean {
  return (request.headers.accept ?? '').toLowerCase().includes('text/html');
}

function known(files: ReadonlyMap<string, DashboardFile>, path: string): DashboardFile {
  const file = files.get(path);
  if (file !== undefined) return file;
  throw new ShoalError('not_found', 'The dashboard has no such file; load the page again.');
}

function send(
  request: FastifyRequest,
  reply: FastifyReply,
  file: DashboardFile,
  caching: string,
): FastifyReply {
  const { coding, body } = pickBody(file, request.headers['accept-encoding']);
  const tag = coding === 'identity' ? file.tag : `${file.tag.slice(0, -1)}-${coding}"`;
  reply.headers({ ...SAFETY, 'cache-control': caching, etag: tag });
  if (!reply.hasHeader('vary')) reply.header('vary', 'Accept-Encoding');
  if (coding !== 'identity') reply.header('content-encoding', coding);
  if (request.headers['if-none-match'] === tag) return reply.code(NOT_MODIFIED).send();
  return reply.type(file.type).send(body);
}
