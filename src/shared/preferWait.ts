/** The header by which a client says that it would rather wait than be refused: `Prefer: wait=SECONDS` (RFC 7240). */
import { TIMES } from './limits.js';

const MS_PER_S = 1_000;
/** One preference of several, with or without parameters of its own (RFC 7240, section 4.3). */
const WAIT = /(?:^|,)\s*wait\s*=\s*"?(\d{1,9})"?\s*(?:;|,|$)/i;

/** Of a person, who would rather wait for a model that is being started anew than be refused: as long as is allowed. */
export const PATIENT_HEADERS = { prefer: `wait=${TIMES.placeWaitMs / MS_PER_S}` };

/**
 * How long a client would wait. What cannot be read is no preference, as the standard has it.
 * @param headers names in lower case
 * @returns milliseconds; 0 without such a header
 */
export function preferredWaitMs(headers: Readonly<Record<string, string | string[] | undefined>>): number {
  const seconds = WAIT.exec(String(headers.prefer ?? ''))?.[1];
  return seconds === undefined ? 0 : Number(seconds) * MS_PER_S;
}
