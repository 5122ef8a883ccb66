import type { IncomingHttpHeaders } from 'node:http';

const MS_PER_S = 1_000;
/** One preference of several, with or without parameters of its own (RFC 7240, section 4.3). */
const WAIT = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;|,|$)/i;

/**
 * How long a client would rather wait than be refused: `Prefer: wait=SECONDS`. What cannot be read is no preference, as
 * the standard has it.
 * @returns milliseconds; 0 without such a header
 */
export function preferredWaitMs({ headers }: { readonly headers: IncomingHttpHeaders }): number {
  const seconds = WAIT.exec(String(headers.prefer ?? ''))?.[1];
  return seconds === undefined ? 0 : Number(seconds) * MS_PER_S;
}
