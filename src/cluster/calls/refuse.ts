/** Answers a stream that cannot be served with one last word, whatever its opener goes on to send. */
import type { Duplex } from 'node:stream';
import type { Fault } from '../../shared/errors.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { boundedFault } from './fault.js';
import { FramedStream } from './framedStream.js';

/** @param word the fault in the form of the stream's protocol */
export function refuseStream(stream: Duplex, fault: Fault, word: (fault: Fault) => unknown): void {
  const nothing = (): void => undefined;
  const listener = { onMessage: nothing, onBroken: nothing, onGarbage: nothing };
  const framed = new FramedStream(stream, listener, { readLimitBytes: LIMITS.callBodyBytes });
  framed.send(word(boundedFault(fault)), LIMITS.callBodyBytes);
  framed.leave();
}

/** As many streams of other nodes are open as are allowed. */
export function tooManyStreams(limit: number): Fault {
  return {
    code: 'queue_full',
    message: `this node works on ${limit} of these for other nodes already`,
    retryAfterMs: TIMES.retryAfterMs,
  };
}
