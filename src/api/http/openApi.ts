/** `/openapi.json`: the OpenAPI 3.1 document, made from the schemas that the routes are checked with. */
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { jsonSchemaTransform, jsonSchemaTransformObject } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ERRORS, type ErrorCode } from '../../shared/errors.js';
import { tidyComponents } from './openApiComponents.js';

const ErrorSchema = z
  .object({
    error: z.object({
      message: z.string().describe('What went wrong, why, and what to do.'),
      type: z.string(),
      code: z.string().describe('Stable code of the catalogue in docs/errors.md.'),
      param: z.string().nullable().describe('The field at fault.'),
      details: z.record(z.string(), z.unknown()).optional(),
    }),
  })
  .meta({ id: 'Error', description: 'The OpenAI error object.' });

/** Faults that any route can answer with. */
const COMMON_CODES: readonly ErrorCode[] = [
  'invalid_request',
  'unauthorized',
  'forbidden_origin',
  'internal_error',
];

/** The `response` entries for these codes and the common ones, gathered by status. */
export function errorResponses(...codes: readonly ErrorCode[]): Record<number, ResponseEntry> {
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of new Set([...COMMON_CODES, ...codes])) {
    const { status } = ERRORS[code];
    byStatus.set(status, [...(byStatus.get(status) ?? []), code]);
  }
  const entries: Record<number, ResponseEntry> = {};
  for (const [status, sameStatus] of byStatus) {
    const description = sameStatus.map((code) => `\`${code}\`: ${ERRORS[code].meaning}`).join('\n');
    entries[status] = jsonResponse(description, ErrorSchema);
  }
  return entries;
}

interface ResponseEntry {
  readonly description: string;
  readonly content: Readonly<Record<string, { readonly schema: z.ZodType }>>;
}

/** A `response` entry with a JSON body. */
export function jsonResponse(description: string, schema: z.ZodType): ResponseEntry {
  return { description, content: { 'application/json': { schema } } };
}

/** A `response` entry with a text body. */
export function textResponse(description: string, type: string): ResponseEntry {
  return { description, content: { [type]: { schema: z.string() } } };
}

/** A `response` entry for an answer that is a JSON body or, with `stream: true`, a stream of server-sent events. */
export function streamableResponse(description: string, body: z.ZodType, event: z.ZodType): ResponseEntry {
  return {
    description,
    content: {
      'application/json': { schema: body },
      'text/event-stream': { schema: event },
    },
  };
}

/** Must be called before the routes that the document shall list. */
export function registerOpenApi(app: FastifyInstance, version: string): void {
  app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Shoal',
        version,
        description: 'One AI cluster out of the machines that you already own.',
        license: { name: 'MIT' },
      },
      tags: [
        { name: 'inference', description: 'In the form of the OpenAI API.' },
        { name: 'cluster', description: 'Health, state and control of the node.' },
      ],
      components: {
        securitySchemes: {
          bearer: { type: 'http', scheme: 'bearer' },
          header: { type: 'apiKey', in: 'header', name: 'x-api-key' },
        },
      },
      security: [{}, { bearer: [] }, { header: [] }],
    },
    transform: jsonSchemaTransform,
    transformObject: (document) => tidyComponents(jsonSchemaTransformObject(document)),
  });
  app.register(async (scope) => {
    scope.get(
      '/openapi.json',
      {
        schema: {
          summary: 'This document',
          operationId: 'openApi',
          tags: ['cluster'],
          response: {
            200: jsonResponse('OpenAPI 3.1', z.record(z.string(), z.unknown())),
            ...errorResponses(),
          },
        },
      },
      async () => scope.swagger(),
    );
  });
}
