/** Server-sent events out of text that arrives in any pieces. */
import { LIMITS } from '../../src/shared/limits.js';

/** The `data` of one event, and the `id` that stands with it. */
export interface ServerEvent {
  readonly id: string | null;
  readonly data: string;
}

export class SseReader {
  readonly #onComment: (text: string) => void;
  #rest = '';

  /** @param onComment told of each comment, in its place between the events */
  constructor(onComment: (text: string) => void = () => undefined) {
    this.#onComment = onComment;
  }

  /**
   * @returns the events that are complete now; events without data are left out
   * @throws {RangeError} when one event does not end
   */
  push(text: string): ServerEvent[] {
    const blocks = (this.#rest + text).replaceAll('\r\n', '\n').split('\n\n');
    this.#rest = blocks.pop() ?? '';
    if (this.#rest.length > LIMITS.dashboardEventCharacters)
      throw new RangeError('an event of the stream does not end');
    return blocks.flatMap((block) => this.#read(block) ?? []);
  }

  #read(block: string): ServerEvent | null {
    let id: string | null = null;
    const data: string[] = [];
    for (const line of block.split('\n')) {
      if (line.startsWith('data:')) data.push(line.slice('data:'.length).replace(/^ /, ''));
      else if (line.startsWith('id:')) id = line.slice('id:'.length).trim();
      else if (line.startsWith(':')) this.#onComment(line.slice(1).trim());
    }
    return data.length === 0 ? null : { id, data: data.join('\n') };
  }
}
