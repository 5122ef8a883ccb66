/**
 * Who may call: API keys, host names and origins. Three attacks are met here: a caller without a key, a web page
 * of another origin, and a web page that points its own host name at this machine (DNS rebinding).
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';

export interface AccessOptions {
  /** Keys of which a caller must send one. Empty = none is needed. */
  readonly apiKeys: readonly string[];
  /** Origins of web pages that may call; `*` = all. */
  readonly allowedOrigins: readonly string[];
  /** Address that the API is bound to. */
  readonly host: string;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** What the route answers is no secret: it is sent without an API key. */
    readonly needsNoKey?: boolean;
  }
}

/** Paths that need no key: a load balancer asks them. */
const OPEN_PATHS: ReadonlySet<string> = new Set(['/health']);
const SAFE_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);
const EXPOSED_HEADERS = 'x-command-id, x-instance-id, x-node-id, x-request-id, retry-after';
const HEADER_NAMES = /^[\w-]+(\s*,\s*[\w-]+)*$/;
const NO_CONTENT = 204;

/** Is this host name or address one of the loopback interface? */
export function isLoopback(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[(.*)\]$/, '$1');
  if (name === 'localhost' || name.endsWith('.localhost') || name === '::1') return true;
  const address = name.startsWith('::ffff:') ? name.slice('::ffff:'.length) : name;
  return isIPv4(address) && address.startsWith('127.');
}

/**
 * The check that runs before every request. Throws `forbidden_origin` or `unauthorized`; answers a CORS preflight
 * itself.
 */
export function createAccessCheck(
  options: AccessOptions,
): (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined> {
  const digests = options.apiKeys.map(digest);
  const loopbackOnly = isLoopback(options.host);
  const allowed = new Set(options.allowedOrigins);

  return async (request, reply) => {
    if (loopbackOnly) checkHost(request.headers.host);
    const origin = request.headers.origin;
    if (origin !== undefined) {
      const permitted = allowed.has('*') || allowed.has(origin);
      reply.header('vary', 'Origin');
      if (permitted) {
        reply.header('access-control-allow-origin', origin);
        reply.header('access-control-expose-headers', EXPOSED_HEADERS);
        if (isPreflight(request)) return answerPreflight(request, reply);
      } else if (!isSameOrigin(origin, request.headers.host) && !SAFE_METHODS.has(request.method)) {
        throw new ShoalError(
          'forbidden_origin',
          `Web pages of ${shorten(origin)} may not call this API. Start the node with \`--allow-origin ORIGIN\` to allow it.`,
        );
      }
    }
    const isOpen = OPEN_PATHS.has(pathOf(request.url)) || request.routeOptions.config?.needsNoKey === true;
    if (digests.length > 0 && !isOpen) checkKey(request, digests);
    return undefined;
  };
}

function checkHost(header: string | undefined): void {
  const name = (header ?? '').replace(/:\d+$/, '');
  if (isLoopback(name)) return;
  throw new ShoalError(
    'forbidden_origin',
    `This API is bound to the loopback interface and answers only to its names, not to the host "${shorten(name)}". Call it as localhost or 127.0.0.1, or bind it with \`--api-host\`.`,
  );
}

/** Does a page of this origin talk to where it came from? */
export function isSameOrigin(origin: string, host: string | undefined): boolean {
  return host !== undefined && (origin === `http://${host}` || origin === `https://${host}`);
}

function isPreflight(request: FastifyRequest): boolean {
  return request.method === 'OPTIONS' && request.headers['access-control-request-method'] !== undefined;
}

function answerPreflight(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const names = request.headers['access-control-request-headers'];
  if (typeof names === 'string' && HEADER_NAMES.test(names)) {
    reply.header('access-control-allow-headers', names);
  }
  return reply
    .header('access-control-allow-methods', 'GET, POST, DELETE')
    .header('access-control-max-age', String(TIMES.corsMaxAgeMs / 1000))
    .code(NO_CONTENT)
    .send();
}

function checkKey(request: FastifyRequest, digests: readonly Buffer[]): void {
  const bearer = /^Bearer\s+(\S+)\s*$/i.exec(request.headers.authorization ?? '')?.[1];
  const header = request.headers['x-api-key'];
  const key = bearer ?? (typeof header === 'string' ? header : undefined);
  if (key === undefined) {
    throw new ShoalError('unauthorized', 'This node needs an API key. Send `Authorization: Bearer KEY`.');
  }
  // Digests have one length, and every key is compared: the time tells nothing about how much of one matches.
  const sent = digest(key);
  let matches = 0;
  for (const known of digests) matches += Number(timingSafeEqual(known, sent));
  if (matches === 0) {
    throw new ShoalError('unauthorized', 'The API key is wrong. Send one that the node was started with.');
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

function pathOf(url: string): string {
  const query = url.indexOf('?');
  return query < 0 ? url : url.slice(0, query);
}

const SHOWN_CHARACTERS = 100;

function shorten(text: string): string {
  return text.length > SHOWN_CHARACTERS ? `${text.slice(0, SHOWN_CHARACTERS)}…` : text;
}
