/** OpenAI's streams: events without a name, and a last one that says that it is the last. */
import type { Fault } from '../../shared/errors.js';
import { errorBody } from '../http/errors.js';

export const DONE = 'data: [DONE]\n\n';

function dataEvent(value: unknown): string {
  return `data: ${JSON.stringify(value)}\n\n`;
}

/** An error after the first byte, and the stream's proper end. */
export function faultEvents(fault: Fault): string {
  return dataEvent(errorBody(fault)) + DONE;
}
