/**
 * A cursor over the head of an untrusted file: reads through a small window, never past the end of the file or the
 * header bound, and says what it was reading when it fails. Nothing is allocated on the word of the file alone: every
 * length is first held against the bytes that are there.
 */
import { readSync } from 'node:fs';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS } from '../../shared/limits.js';

const WINDOW_BYTES = 256 * 1024;
const EMPTY = Buffer.alloc(0);

export class HeaderCursor {
  readonly path: string;
  readonly fileBytes: number;
  readonly #descriptor: number;
  #window: Buffer = EMPTY;
  #windowStart = 0;
  #position = 0;

  /** @param descriptor an open regular file of `fileBytes`; the caller closes it */
  constructor(descriptor: number, path: string, fileBytes: number) {
    this.#descriptor = descriptor;
    this.path = path;
    this.fileBytes = fileBytes;
  }

  get position(): number {
    return this.#position;
  }

  /** Bytes that the header may still have. */
  get remaining(): number {
    return Math.min(this.fileBytes, LIMITS.ggufHeaderBytes) - this.#position;
  }

  /** @returns the refusal to throw, with file and place */
  refusal(what: string): ShoalError {
    return new ShoalError('model_unsupported', `${this.path} cannot be read as a GGUF file: ${what}.`);
  }

  uint32(what: string): number {
    const at = this.#advance(4, what);
    return this.#window.readUInt32LE(at);
  }

  /** A count, length or offset: refused above 2^53, where a number is no longer exact. */
  size(what: string): number {
    const at = this.#advance(8, what);
    const value = this.#window.readUInt32LE(at + 4) * 2 ** 32 + this.#window.readUInt32LE(at);
    if (!Number.isSafeInteger(value)) {
      throw this.refusal(`${what} is beyond 2^53 (at byte ${this.#position - 8})`);
    }
    return value;
  }

  /** A count of things that take at least `unitBytes` each: refused when the rest of the header cannot hold them. */
  count(unitBytes: number, what: string): number {
    const value = this.size(what);
    if (value * unitBytes > this.remaining) {
      throw this.refusal(
        `${what} is ${value}, more than the ${Math.max(0, this.remaining)} bytes from byte ${this.#position} on can hold`,
      );
    }
    return value;
  }

  /** A length-prefixed text. Bytes that are not UTF-8 become U+FFFD. */
  text(what: string, maximumBytes: number): string {
    const length = this.count(1, `the length of ${what}`);
    if (length > maximumBytes) {
      throw this.refusal(`${what} has ${length} bytes, more than the ${maximumBytes} that are allowed`);
    }
    return this.bytes(length, what).toString('utf8');
  }

  /** Bytes of its own, not a view of the window. */
  bytes(length: number, what: string): Buffer {
    this.#demand(length, what);
    const bytes = Buffer.allocUnsafeSlow(length);
    this.#readAt(this.#position, bytes, what);
    this.#position += length;
    return bytes;
  }

  skip(length: number, what: string): void {
    this.#demand(length, what);
    this.#position += length;
  }

  /** Reads again what was skipped, such as an array whose size is known only after walking it. */
  again(start: number, end: number, what: string): Buffer {
    const bytes = Buffer.allocUnsafeSlow(end - start);
    this.#readAt(start, bytes, what);
    return bytes;
  }

  #demand(length: number, what: string): void {
    if (length <= this.remaining) return;
    const where = `at byte ${this.#position}`;
    throw this.fileBytes <= LIMITS.ggufHeaderBytes
      ? this.refusal(`it ends within ${what} (${where}); the download may be incomplete`)
      : this.refusal(`its header is larger than ${LIMITS.ggufHeaderBytes} bytes (${what}, ${where})`);
  }

  /** Moves on by `length` (at most the window's size) and returns where these bytes lie in the window. */
  #advance(length: number, what: string): number {
    this.#demand(length, what);
    const at = this.#position - this.#windowStart;
    this.#position += length;
    if (at >= 0 && at + length <= this.#window.length) return at;
    this.#windowStart = this.#position - length;
    const size = Math.min(WINDOW_BYTES, this.fileBytes - this.#windowStart);
    if (this.#window.length !== size) this.#window = Buffer.allocUnsafeSlow(size);
    this.#readAt(this.#windowStart, this.#window, what);
    return 0;
  }

  #readAt(start: number, target: Buffer, what: string): void {
    const inWindow = start - this.#windowStart;
    if (target !== this.#window && inWindow >= 0 && inWindow + target.length <= this.#window.length) {
      this.#window.copy(target, 0, inWindow, inWindow + target.length);
      return;
    }
    let done = 0;
    while (done < target.length) {
      const count = readSync(this.#descriptor, target, done, target.length - done, start + done);
      if (count === 0) throw this.refusal(`it became shorter while ${what} was read`);
      done += count;
    }
  }
}
