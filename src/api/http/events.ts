/** Reads the events of one generation to their end, whatever the service does. */
import { ShoalError } from '../../shared/errors.js';
import type { GenerationEvent, GenerationStats } from '../../shared/generation.js';
import { untilAborted } from './lifetime.js';

/** The events of a generation that goes well. */
export type AnswerEvent = Exclude<GenerationEvent, { kind: 'failed' }>;

export interface EventReader {
  /** Called with each event in order; a throw ends the request. */
  readonly onEvent: (event: AnswerEvent) => void;
  /** Told when the service cannot even be left properly. */
  readonly onLeaveFailed: (error: unknown) => void;
}

/**
 * Resolves with the statistics of `finished`; throws the fault of `failed`, the signal's reason when that is
 * aborted first, or `internal_error` when the events end without an end. Never waits longer than the signal allows.
 */
export async function readEvents(
  events: AsyncIterable<GenerationEvent>,
  signal: AbortSignal,
  reader: EventReader,
): Promise<GenerationStats> {
  const iterator = events[Symbol.asyncIterator]();
  const readAll = async (): Promise<GenerationStats> => {
    for (;;) {
      const next = await iterator.next();
      // The other side of the race has settled already: nobody looks at this result.
      signal.throwIfAborted();
      if (next.done === true) {
        throw new ShoalError('internal_error', 'the events of a generation ended without finished or failed');
      }
      const event = next.value;
      if (event.kind === 'failed') throw ShoalError.fromFault(event.fault);
      reader.onEvent(event);
      if (event.kind === 'finished') return event.stats;
    }
  };
  try {
    return await untilAborted(readAll(), signal);
  } finally {
    // Not awaited: a dead service must not hold the request.
    iterator.return?.().then(undefined, reader.onLeaveFailed);
  }
}
