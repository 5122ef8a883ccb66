/**
 * Frames on one connection, out and in. What arrives is copied once, from the chunk in which the kernel gave it to the
 * place that the handler names for it.
 */
import type { Duplex } from 'node:stream';
import { decodeHeader, encodeHeader, type FrameHeader, HEADER_BYTES, type Kind, WireError } from './wire.js';

export interface FrameHandler {
  /**
   * A frame begins.
   * @returns where its payload goes: exactly `header.length` bytes
   * @throws {WireError} to refuse it, which ends the stream
   */
  open(header: FrameHeader): Uint8Array;
  /** All of it has arrived. May throw as `open`. */
  complete(header: FrameHeader, payload: Uint8Array): void;
  /** Nothing more arrives and nothing more can be written. Called once. */
  ended(error: Error): void;
}

const NOTHING = new Uint8Array(0);
const SEQUENCES = 2 ** 32;

export class FrameStream {
  readonly #socket: Duplex;
  /** May be replaced by whoever is called by it, even within a call: the next frame goes to the next handler. */
  handler: FrameHandler;
  /** The handler has heard its last. */
  #hasEnded = false;
  #isDiscarding = false;
  #isClosing = false;
  #written = 0;
  #read = 0;
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerBytes = 0;
  #frame: FrameHeader | null = null;
  #payload: Uint8Array = NOTHING;
  #payloadBytes = 0;

  constructor(socket: Duplex, handler: FrameHandler) {
    this.#socket = socket;
    this.handler = handler;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('end', () => this.#end(new Error('the connection was closed')));
    socket.on('error', (error) => this.#end(error));
    socket.on('close', () => this.#end(new Error('the connection was closed')));
  }

  get isClosed(): boolean {
    return this.#socket.closed;
  }

  /**
   * @param onFlushed the pieces may be used again; not called when the stream ends before
   */
  write(kind: Kind, tag: number, pieces: readonly Uint8Array[] = [], onFlushed?: () => void): void {
    if (this.#isClosing || !this.#socket.writable) return;
    let length = 0;
    for (const piece of pieces) length += piece.length;
    const header = encodeHeader(kind, this.#written, tag, length);
    this.#written = (this.#written + 1) % SEQUENCES;
    const flushed =
      onFlushed === undefined
        ? undefined
        : (error?: Error | null) => {
            if (error) this.#end(error);
            else onFlushed();
          };
    if (length === 0) {
      this.#socket.write(header, flushed);
      return;
    }
    this.#socket.cork();
    this.#socket.write(header);
    for (const [index, piece] of pieces.entries()) {
      this.#socket.write(piece, index === pieces.length - 1 ? flushed : undefined);
    }
    this.#socket.uncork();
  }

  /**
   * Writes a last frame and closes; what still arrives is read and dropped, since a socket that is closed with unread
   * bytes takes its own last words back. The handler hears nothing more.
   */
  close(kind: Kind, limitMs: number, payload: Uint8Array = NOTHING): void {
    if (this.#isClosing) return;
    this.write(kind, 0, [payload]);
    this.#isClosing = true;
    this.#hasEnded = true;
    this.#isDiscarding = true;
    if (this.#socket.destroyed) return;
    this.#socket.end();
    this.#socket.resume();
    const timer = setTimeout(() => this.#socket.destroy(), limitMs);
    this.#socket.once('close', () => clearTimeout(timer));
  }

  /** Closes at once. The handler hears nothing more. */
  destroy(): void {
    this.#isClosing = true;
    this.#hasEnded = true;
    this.#isDiscarding = true;
    this.#socket.destroy();
  }

  /** Resolves when the connection is gone. */
  closed(): Promise<void> {
    return new Promise((resolve) => {
      if (this.#socket.closed) resolve();
      else this.#socket.once('close', () => resolve());
    });
  }

  #end(error: Error): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.handler.ended(error);
  }

  #take(chunk: Buffer): void {
    if (this.#isDiscarding) return;
    try {
      this.#cut(chunk);
    } catch (error) {
      if (!(error instanceof WireError)) throw error;
      this.#end(error);
      this.#isDiscarding = true;
    }
  }

  #cut(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#isDiscarding) {
      if (this.#frame === null) {
        const missing = HEADER_BYTES - this.#headerBytes;
        const taken = chunk.copy(this.#header, this.#headerBytes, at, at + missing);
        at += taken;
        this.#headerBytes += taken;
        if (taken < missing) return;
        this.#open();
      } else {
        const part = chunk.subarray(at, at + this.#payload.length - this.#payloadBytes);
        this.#payload.set(part, this.#payloadBytes);
        this.#payloadBytes += part.length;
        at += part.length;
      }
      const frame = this.#frame as FrameHeader | null;
      if (frame !== null && this.#payloadBytes === frame.length) this.#complete(frame);
    }
  }

  #open(): void {
    const frame = decodeHeader(this.#header, this.#read);
    this.#read = (this.#read + 1) % SEQUENCES;
    this.#headerBytes = 0;
    this.#payloadBytes = 0;
    this.#payload = this.handler.open(frame);
    this.#frame = frame;
  }

  #complete(frame: FrameHeader): void {
    const payload = this.#payload;
    this.#frame = null;
    this.#payload = NOTHING;
    this.handler.complete(frame, payload);
  }
}
