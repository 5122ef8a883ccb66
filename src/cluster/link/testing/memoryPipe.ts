/** A connection in memory: two ends of a byte stream, in order, with back pressure, that can stand still or break. */
import { Duplex } from 'node:stream';

export class MemoryPipe {
  readonly ends: readonly [Duplex, Duplex];
  #isStill = false;
  readonly #held: (() => void)[] = [];

  constructor() {
    const first: PipeEnd = new PipeEnd(
      () => second,
      (deliver) => this.#later(deliver),
    );
    const second: PipeEnd = new PipeEnd(
      () => first,
      (deliver) => this.#later(deliver),
    );
    this.ends = [first, second];
  }

  /** Like a cable that is pulled: nothing arrives, and nobody is told. */
  stall(): void {
    this.#isStill = true;
  }

  /** What was under way arrives. */
  resume(): void {
    this.#isStill = false;
    for (const deliver of this.#held.splice(0)) setImmediate(deliver);
  }

  /** Like the death of a process: the other end is told. */
  break(): void {
    for (const end of this.ends) end.destroy();
  }

  #later(deliver: () => void): void {
    if (this.#isStill) this.#held.push(deliver);
    else setImmediate(deliver);
  }
}

class PipeEnd extends Duplex {
  readonly #other: () => PipeEnd;
  readonly #later: (deliver: () => void) => void;
  #resumeWriter: (() => void) | null = null;

  constructor(other: () => PipeEnd, later: (deliver: () => void) => void) {
    super({ allowHalfOpen: false });
    this.#other = other;
    this.#later = later;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#later(() => this.#other().#arrive(Buffer.from(chunk), done));
  }

  override _final(done: () => void): void {
    this.#later(() => this.#other().#arrive(null, done));
  }

  override _read(): void {
    const resumeWriter = this.#resumeWriter;
    this.#resumeWriter = null;
    resumeWriter?.();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#resumeWriter?.();
    this.#later(() => this.#other().destroy());
    done(error);
  }

  #arrive(chunk: Buffer | null, taken: () => void): void {
    if (this.destroyed || this.readableEnded || this.push(chunk) || chunk === null) taken();
    else this.#resumeWriter = taken;
  }
}
