import { StringDecoder } from 'node:string_decoder';

/** The last lines of a byte stream, bounded in number and in length, whatever the stream sends. */
export class LineTail {
  readonly #decoder = new StringDecoder('utf8');
  readonly #lines: string[] = [];
  readonly #maxLines: number;
  readonly #maxCharacters: number;
  readonly #onLine: (line: string) => void;
  #partial = '';

  /** @param onLine called with each complete line, cut to `maxCharacters` */
  constructor(maxLines: number, maxCharacters: number, onLine: (line: string) => void) {
    this.#maxLines = maxLines;
    this.#maxCharacters = maxCharacters;
    this.#onLine = onLine;
  }

  push(chunk: Buffer): void {
    const pieces = this.#decoder.write(chunk).split(/\r?\n/);
    pieces[0] = this.#partial + pieces[0];
    this.#partial = (pieces.pop() ?? '').slice(0, this.#maxCharacters);
    for (const piece of pieces) {
      const line = piece.slice(0, this.#maxCharacters);
      this.#lines.push(line);
      this.#onLine(line);
    }
    if (this.#lines.length > this.#maxLines) this.#lines.splice(0, this.#lines.length - this.#maxLines);
  }

  /** The kept lines, oldest first, with what has come of an unfinished last one. */
  lines(): string[] {
    return this.#partial === '' ? [...this.#lines] : [...this.#lines, this.#partial];
  }
}
