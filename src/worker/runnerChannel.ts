/** The parent's end of the channel to a runner: typed messages over a duplex pipe, bounded in both directions. */
import type { Duplex } from 'node:stream';
import { isFault } from '../shared/errors.js';
import { encodeFrame, FrameReader } from '../shared/frames.js';
import { LIMITS } from '../shared/limits.js';
import type { FromRunner, ToRunner } from '../shared/runnerProtocol.js';

const KNOWN_KINDS: ReadonlySet<string> = new Set<FromRunner['kind']>([
  'hello',
  'phase',
  'heartbeat',
  'event',
  'fatal',
]);

export interface RunnerChannelEvents {
  onMessage(message: FromRunner): void;
  /** The channel cannot be used further: garbage arrived, or the runner does not read. Called at most once. */
  onBroken(reason: string): void;
}

export class RunnerChannel {
  readonly #stream: Duplex;
  readonly #events: RunnerChannelEvents;
  #isBroken = false;
  #sent = 0;

  constructor(stream: Duplex, events: RunnerChannelEvents) {
    this.#stream = stream;
    this.#events = events;
    const reader = new FrameReader(LIMITS.runnerFrameBytes);
    stream.on('data', (chunk: Buffer) => this.#receive(reader, chunk));
    // The end of the channel is the end of the process, which its exit reports with a better reason. Closing this half
    // too lets Node.js report the process as closed at once.
    stream.on('end', () => this.close());
    stream.on('error', () => this.close());
  }

  /**
   * Hands a message to the runner. A runner that does not read breaks the channel.
   * @throws {FrameError} when the message is over the limit; nothing is sent then
   */
  send(message: ToRunner): void {
    if (this.#isBroken || this.#stream.destroyed) return;
    const frame = encodeFrame(message, LIMITS.runnerFrameBytes);
    if (this.#stream.writableLength > LIMITS.runnerWriteBufferBytes) {
      this.#break(`the runner does not read: ${this.#stream.writableLength} bytes are waiting for it`);
      return;
    }
    this.#sent += 1;
    this.#stream.write(frame);
  }

  /** Messages handed over so far. */
  get sent(): number {
    return this.#sent;
  }

  close(): void {
    this.#isBroken = true;
    this.#stream.destroy();
  }

  #receive(reader: FrameReader, chunk: Buffer): void {
    if (this.#isBroken) return;
    let messages: FromRunner[];
    try {
      messages = reader.push(chunk).map(checked);
    } catch (error) {
      this.#break(`the channel carried garbage: ${(error as Error).message}`);
      return;
    }
    for (const message of messages) this.#events.onMessage(message);
  }

  #break(reason: string): void {
    if (this.#isBroken) return;
    this.close();
    this.#events.onBroken(reason);
  }
}

function checked(message: unknown): FromRunner {
  const kind = (message as { kind?: unknown } | null)?.kind;
  if (typeof kind !== 'string' || !KNOWN_KINDS.has(kind))
    throw new Error(`no message of kind ${String(kind)} is known`);
  if (kind === 'fatal' && !isFault((message as { fault?: unknown }).fault))
    throw new Error('a fault without code and message');
  return message as FromRunner;
}
