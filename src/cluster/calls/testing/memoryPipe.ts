/**
 * Two ends of a byte stream in memory, with a socket's manners: asynchronous, flow control in both directions, a half
 * that closes while the other goes on, and a reset at one end when the other is destroyed.
 */
import { Duplex } from 'node:stream';

export class MemoryPipeEnd extends Duplex {
  /** How many times something was handed to the connection. */
  writes = 0;
  #other: MemoryPipeEnd | null = null;
  #taken: (() => void) | null = null;

  static pair(): [MemoryPipeEnd, MemoryPipeEnd] {
    const [one, other] = [new MemoryPipeEnd(), new MemoryPipeEnd()];
    one.#other = other;
    other.#other = one;
    return [one, other];
  }

  override _read(): void {
    const taken = this.#taken;
    this.#taken = null;
    taken?.();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.writes += 1;
    const other = this.#other!;
    setImmediate(() => other.#arrive(chunk, done));
  }

  override _final(done: (error?: Error | null) => void): void {
    setImmediate(() => {
      if (this.#other?.destroyed === false) this.#other.push(null);
      done();
    });
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    const isWhole = this.readableEnded && this.writableFinished;
    this._read();
    done(error);
    const other = this.#other!;
    if (!isWhole) setImmediate(() => other.#reset());
  }

  #arrive(chunk: Buffer, done: (error?: Error | null) => void): void {
    if (this.destroyed) {
      done();
      return;
    }
    this.#taken = done;
    if (this.push(chunk)) this._read();
  }

  #reset(): void {
    if (this.readableEnded && this.writableFinished) return;
    this.destroy(new Error('read ECONNRESET'));
  }
}
