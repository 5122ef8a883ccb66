/** A key that a client sends with what it wants made, so that the same sent twice makes one. */
import { z } from 'zod';
import { LIMITS } from '../../shared/limits.js';

const NAME = 'idempotency-key';

/** The headers of a route that makes something; others are left as they are. */
export const keyHeadersSchema = z.looseObject({
  [NAME]: z
    .string()
    .min(1)
    .max(LIMITS.idempotencyKeyCharacters)
    .optional()
    .describe(
      'Any text that is new for each thing that is asked for. A request that is sent again with its key makes nothing ' +
        'more and gets the same id, also from another node.',
    ),
});

/** Null when the client sent none: then each request makes one of its own. */
export function idempotencyKeyOf(headers: z.output<typeof keyHeadersSchema>): string | null {
  return headers[NAME] ?? null;
}
