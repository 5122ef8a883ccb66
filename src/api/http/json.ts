/** Reads JSON request bodies whose shape is bounded before any schema looks at them. */
import type { FastifyInstance } from 'fastify';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';

/** Makes JSON the only body that the server reads. An empty body is `undefined`, which schemas refuse where one is needed. */
export function acceptOnlyJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error');
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) {
      done(null, undefined);
      return;
    }
    // It answers by its callback.
    void parse(request, body as string, (error, value) => {
      if (error !== null) {
        done(new ShoalError('invalid_request', `The request body is not valid JSON: ${reason(error)}`));
        return;
      }
      done(shapeError(value), value);
    });
  });
}

const SHOWN_CHARACTERS = 200;

function reason(error: Error): string {
  if (error.message.includes('prototype')) return 'it has a member that is not allowed, such as __proto__.';
  return error.message.slice(0, SHOWN_CHARACTERS);
}

/**
 * Null when the value is shallow and small enough to be checked in bounded time and memory. Lists of plain values
 * may be long: the body limit bounds them.
 */
function shapeError(root: unknown): ShoalError | null {
  let level: object[] = typeof root === 'object' && root !== null ? [root] : [];
  let containers = level.length;
  for (let depth = 1; level.length > 0; depth += 1) {
    if (depth > LIMITS.jsonDepth) return tooMuch(`is nested deeper than ${LIMITS.jsonDepth} levels`);
    const next: object[] = [];
    for (const container of level) {
      const values: unknown[] = Array.isArray(container) ? container : Object.values(container);
      if (!Array.isArray(container) && values.length > LIMITS.jsonMembers) {
        return tooMuch(`has an object with more than ${LIMITS.jsonMembers} members`);
      }
      for (const value of values) {
        if (typeof value !== 'object' || value === null) continue;
        containers += 1;
        if (containers > LIMITS.jsonContainers) {
          return tooMuch(`has more than ${LIMITS.jsonContainers} objects and arrays`);
        }
        next.push(value);
      }
    }
    level = next;
  }
  return null;
}

function tooMuch(what: string): ShoalError {
  return new ShoalError('invalid_request', `The request body ${what}.`);
}
