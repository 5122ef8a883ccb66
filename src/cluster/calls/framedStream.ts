/**
 * One end of a byte stream between two nodes: messages in length-prefixed frames (`shared/frames.ts`), those of one
 * tick in one write, exactly one report when the other end breaks it, and a close within a bound whatever that does.
 */
import type { Duplex } from 'node:stream';
import { encodeFrame, FrameReader } from '../../shared/frames.js';
import { TIMES } from '../../shared/limits.js';

export interface FramedStreamOptions {
  /** Longest message that is read, in bytes. */
  readonly readLimitBytes: number;
}

/** None of these is called after `leave` or `destroy`, but for `onClosed`. */
export interface FramedStreamListener {
  onMessage(message: unknown): void;
  /** Bytes have come, whether they complete a message or not. */
  onBytes?(count: number): void;
  /** The other end closed or cut the stream. Called at most once. */
  onBroken(reason: string): void;
  /** What came is no message, or is over the limit. Nothing more is read: the listener leaves, or cuts the stream. */
  onGarbage(reason: string): void;
  /** The stream is gone, with nothing left behind. Called once, last. */
  onClosed?(): void;
}

export class FramedStream {
  readonly #stream: Duplex;
  readonly #listener: FramedStreamListener;
  readonly #reader: FrameReader;
  #isLeft = false;
  #isUnreadable = false;
  #unwritten: Buffer[] = [];
  #unwrittenBytes = 0;
  #linger: NodeJS.Timeout | undefined;

  constructor(stream: Duplex, listener: FramedStreamListener, options: FramedStreamOptions) {
    this.#stream = stream;
    this.#listener = listener;
    this.#reader = new FrameReader(options.readLimitBytes);
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    stream.once('end', () => this.#broken('the other end closed it'));
    stream.on('error', (error) => this.#broken(error.message));
    if (stream.closed) process.nextTick(() => this.#closed());
    else stream.once('close', () => this.#closed());
    // Whoever opened it may have paused it until somebody listens.
    stream.resume();
  }

  /** Bytes that wait to be taken by the connection. */
  get unsentBytes(): number {
    return this.#unwrittenBytes + this.#stream.writableLength;
  }

  /**
   * Sends a message. On a stream that has ended it is dropped.
   * @throws {FrameError} when it is longer than `limitBytes`
   */
  send(message: unknown, limitBytes: number): void {
    if (this.#isLeft) return;
    const frame = encodeFrame(message, limitBytes);
    // A tick begins when all promises have settled: whatever is ready now leaves in one write.
    if (this.#unwritten.length === 0) process.nextTick(() => this.#flush());
    this.#unwritten.push(frame);
    this.#unwrittenBytes += frame.length;
  }

  /** Sends what is pending and closes. What still comes is dropped. An other end that does not close is cut. */
  leave(): void {
    if (this.#isLeft) return;
    this.#flush();
    this.#isLeft = true;
    if (this.#stream.destroyed) return;
    this.#stream.end();
    this.#linger = setTimeout(() => this.#stream.destroy(), TIMES.peerLingerMs);
    this.#linger.unref();
  }

  /** Cuts the stream. Harmless when repeated. */
  destroy(): void {
    this.#isLeft = true;
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
    this.#stream.destroy();
  }

  #receive(chunk: Buffer): void {
    if (this.#isLeft || this.#isUnreadable) return;
    this.#listener.onBytes?.(chunk.length);
    const messages = this.#reader.messages(chunk);
    while (!this.#isLeft) {
      let next: IteratorResult<unknown, void>;
      try {
        next = messages.next();
      } catch (error) {
        this.#isUnreadable = true;
        this.#listener.onGarbage((error as Error).message);
        return;
      }
      if (next.done === true) return;
      this.#listener.onMessage(next.value);
    }
  }

  #flush(): void {
    const frames = this.#unwritten;
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
    if (frames.length === 0 || this.#stream.destroyed || this.#stream.writableEnded) return;
    this.#stream.write(frames.length === 1 ? frames[0] : Buffer.concat(frames));
  }

  #broken(reason: string): void {
    if (this.#isLeft) return;
    this.destroy();
    this.#listener.onBroken(reason);
  }

  #closed(): void {
    clearTimeout(this.#linger);
    this.#broken('the connection was closed');
    this.#listener.onClosed?.();
  }
}
