/** The requests that a runner process is working on: their numbers on the channel, and the streams they feed. */
import type { Fault } from '../shared/errors.js';
import type { GenerationEvent } from '../shared/generation.js';
import type { GenerationStream } from '../shared/generationStream.js';

export class OpenRequests {
  readonly #streams = new Map<number, GenerationStream>();
  #next = 1;

  get size(): number {
    return this.#streams.size;
  }

  /**
   * Takes over a stream. @param onAborted called with the number when the consumer's side aborts it
   * @returns the number of the request
   */
  add(stream: GenerationStream, onAborted: (request: number) => void): number {
    const request = this.#next++;
    this.#streams.set(request, stream);
    stream.onAborted(() => {
      if (this.#streams.delete(request)) onAborted(request);
    });
    return request;
  }

  /** Passes an event on. One for a request that has ended here is late, and is dropped. */
  push(request: number, event: GenerationEvent): void {
    const stream = this.#streams.get(request);
    if (event.kind === 'finished' || event.kind === 'failed') this.#streams.delete(request);
    stream?.push(event);
  }

  /** Ends all of them. Returns their numbers. */
  failAll(fault: Fault): number[] {
    const open = [...this.#streams];
    this.#streams.clear();
    for (const [, stream] of open) stream.fail(fault);
    return open.map(([request]) => request);
  }
}
