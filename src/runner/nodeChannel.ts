/** The runner's end of the channel to its node: typed messages over a duplex pipe, bounded in both directions. */
import type { Duplex } from 'node:stream';
import { encodeFrame, FrameError, FrameReader } from '../shared/frames.js';
import { LIMITS } from '../shared/limits.js';
import type { FromRunner, ToRunner } from '../shared/runnerProtocol.js';

const KNOWN_KINDS: ReadonlySet<string> = new Set<ToRunner['kind']>([
  'load',
  'generate',
  'cancel',
  'failpoint',
  'shutdown',
]);

export interface NodeChannelEvents {
  /** False when the message was not taken. */
  onMessage(message: ToRunner): boolean;
  /** The node is gone, or has closed the channel. */
  onClosed(): void;
  /** The channel cannot be used further: garbage came in, or the node does not read. Called at most once. */
  onBroken(reason: string): void;
}

export class NodeChannel {
  readonly #stream: Duplex;
  readonly #events: NodeChannelEvents;
  readonly #reader = new FrameReader(LIMITS.runnerFrameBytes);
  #isBroken = false;
  #isReading = true;
  #received = 0;

  constructor(stream: Duplex, events: NodeChannelEvents) {
    this.#stream = stream;
    this.#events = events;
    stream.on('data', (chunk: Buffer) => this.#receive(chunk));
    // An error is followed by `close`, and says no more than that the other end is gone.
    stream.on('error', () => stream.destroy());
    stream.on('end', () => stream.destroy());
    stream.on('close', () => events.onClosed());
  }

  /** Messages taken so far. */
  get received(): number {
    return this.#received;
  }

  /** Takes nothing from the channel any more, nor from what came with the message at hand. */
  stopReading(): void {
    this.#isReading = false;
    this.#stream.pause();
  }

  /** Sends messages in one write. */
  send(...messages: readonly FromRunner[]): void {
    if (this.#isBroken || this.#stream.destroyed) return;
    if (this.#stream.writableLength > LIMITS.runnerWriteBufferBytes) {
      this.#break(`the node does not read: ${this.#stream.writableLength} bytes are waiting for it`);
      return;
    }
    const frames = messages.map((message) => encodeFrame(message, LIMITS.runnerFrameBytes));
    this.#stream.write(frames.length === 1 ? frames[0]! : Buffer.concat(frames));
  }

  /** Sends a last message and calls back when it is written, or cannot be. */
  sendLast(message: FromRunner, done: () => void): void {
    if (this.#stream.destroyed) {
      done();
      return;
    }
    this.#isBroken = true;
    this.#stream.write(encodeFrame(message, LIMITS.runnerFrameBytes), () => done());
  }

  #receive(chunk: Buffer): void {
    if (this.#isBroken) return;
    try {
      for (const message of this.#reader.push(chunk).map(checked)) {
        if (!this.#isReading) return;
        if (this.#events.onMessage(message)) this.#received += 1;
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#break(`the channel carried garbage: ${error.message}`);
    }
  }

  #break(reason: string): void {
    if (this.#isBroken) return;
    this.#isBroken = true;
    this.#events.onBroken(reason);
  }
}

function checked(message: unknown): ToRunner {
  const kind = (message as { kind?: unknown } | null)?.kind;
  if (typeof kind !== 'string' || !KNOWN_KINDS.has(kind)) {
    throw new FrameError(`no message of kind ${String(kind)} is known`);
  }
  return message as ToRunner;
}
