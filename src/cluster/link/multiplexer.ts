/**
 * Control messages, byte streams and probes of one open link, over one transport. It speaks for one end: frames that no
 * honest end sends close the link with the reason, as do an end that does not read and one that answers no probe.
 */
import type { Duplex } from 'node:stream';
import { pack, unpack } from 'msgpackr';
import { ERRORS, type ErrorCode, type Fault, ShoalError } from '../../shared/errors.js';
import { encodeFrame as encodeMessage, FrameError, FrameReader } from '../../shared/frames.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { StreamHead } from './contract.js';
import { decodeFarewell, encodeFarewell, type Farewell } from './farewell.js';
import { LinkStream, type StreamPort } from './linkStream.js';
import { Outbox } from './outbox.js';
import { Probes } from './probes.js';
import { FRAME, WireError, type WireFrame, type WireReader } from './wire.js';

const KIND_CHARACTERS = 64;
const FAULT_CHARACTERS = 1_000;
const MOST_STREAM_ID = 2 ** 32 - 2;

export interface MultiplexerEvents {
  received(message: unknown): void;
  /** A stream that the other end opened. Throws a `ShoalError` to refuse it. */
  streamOpened(kind: string, head: StreamHead, stream: Duplex): void;
  /** Called once, and nothing else after it. */
  closed(farewell: Farewell): void;
}

export interface MultiplexerComponents {
  readonly transport: Duplex;
  /** With what the transport has given already. */
  readonly reader: WireReader;
  readonly events: MultiplexerEvents;
}

interface Opening {
  readonly stream: LinkStream;
  readonly opened: (stream: Duplex) => void;
}

export class Multiplexer {
  readonly #transport: Duplex;
  readonly #reader: WireReader;
  readonly #events: MultiplexerEvents;
  readonly #outbox: Outbox;
  readonly #messages = new FrameReader(LIMITS.linkMessageBytes);
  readonly #probes: Probes;
  readonly #streams = new Map<number, LinkStream>();
  readonly #openings = new Map<number, Opening>();
  readonly #parity: number;
  #ownStreams = 0;
  #lastStreamId: number;
  #isClosed = false;
  readonly #port: StreamPort = {
    ready: (stream) => this.#outbox.ready(stream),
    windowBytes: () =>
      this.#streams.size <= LIMITS.streamsWithWideWindow
        ? LIMITS.streamWideWindowBytes
        : LIMITS.streamWindowBytes,
    sendWindow: (streamId, bytes) => this.#outbox.send(FRAME.streamWindow, streamId, encodeCount(bytes)),
    sendEnd: (streamId) => this.#outbox.send(FRAME.streamEnd, streamId),
    closed: (stream, fault) => this.#forget(stream, fault),
  };

  /** @param options.isDialler the end that dialled opens streams with odd ids, the other with even ones */
  constructor(
    { transport, reader, events }: MultiplexerComponents,
    options: { readonly isDialler: boolean },
  ) {
    this.#transport = transport;
    this.#reader = reader;
    this.#events = events;
    this.#parity = options.isDialler ? 1 : 0;
    this.#lastStreamId = options.isDialler ? -1 : 0;
    this.#outbox = new Outbox(transport);
    this.#probes = new Probes({
      send: (payload) => this.#outbox.send(FRAME.ping, 0, payload),
      silent: (seconds) => this.close({ code: 'silent', reason: `no sign of life for ${seconds} s` }),
    });
  }

  /** Begins to read. What has arrived already is handed on before this returns. */
  start(): void {
    const transport = this.#transport;
    this.#reader.limitBytes = LIMITS.linkFrameBytes;
    transport.on('data', (chunk: Buffer) => this.#receive(chunk));
    transport.on('end', () => this.#lost('the connection was ended'));
    transport.on('close', () => this.#lost('the connection was closed'));
    transport.on('error', (error) => this.#lost(`the connection broke: ${error.message}`));
    this.#probes.start();
    this.#receive(null);
    transport.resume();
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The shortest of the newest probes, in microseconds. */
  get roundTripUs(): number | null {
    return this.#probes.roundTripUs;
  }

  /** Streams that are open now, of both ends. */
  get streamCount(): number {
    return this.#streams.size;
  }

  /** @returns whether the other end answers within this time */
  isAnswering(timeoutMs: number): Promise<boolean> {
    return this.#isClosed ? Promise.resolve(false) : this.#probes.isAnswered(timeoutMs);
  }

  /** @throws {FrameError} when the message is longer than `linkMessageBytes` */
  send(message: unknown): void {
    if (this.#isClosed) return;
    const bytes = encodeMessage(message, LIMITS.linkMessageBytes);
    for (let start = 0; start < bytes.length; start += LIMITS.linkFrameBytes) {
      this.#outbox.send(FRAME.control, 0, bytes.subarray(start, start + LIMITS.linkFrameBytes));
    }
    this.#checkBuffer();
  }

  /** @throws {ShoalError} `node_lost`, `queue_full`, or what the other end refused it with */
  openStream(kind: string, head: StreamHead, signal: AbortSignal): Promise<Duplex> {
    signal.throwIfAborted();
    if (this.#isClosed) throw new ShoalError('node_lost', 'the link to the node is closed');
    const payload = pack({ kind, head });
    if (payload.length > LIMITS.streamHeadBytes || kind.length > KIND_CHARACTERS) {
      throw new ShoalError(
        'invalid_request',
        `the head of a stream has ${payload.length} bytes, more than allowed`,
      );
    }
    if (this.#ownStreams >= LIMITS.linkStreams) {
      throw new ShoalError('queue_full', `${this.#ownStreams} streams to one node are open already`);
    }
    const stream = new LinkStream(this.#nextStreamId(), this.#port);
    this.#streams.set(stream.id, stream);
    this.#ownStreams += 1;
    this.#outbox.send(FRAME.streamOpen, stream.id, payload);
    return new Promise((resolve, reject) => {
      const onAbort = () => stream.destroy(abortError(signal));
      signal.addEventListener('abort', onAbort, { once: true });
      const onError = (error: Error) => reject(error);
      stream.once('error', onError);
      stream.once('close', () => signal.removeEventListener('abort', onAbort));
      this.#openings.set(stream.id, {
        stream,
        opened: () => {
          stream.off('error', onError);
          resolve(stream);
        },
      });
    });
  }

  /** Ends the link and all streams on it, telling the other end why. */
  close(farewell: Farewell): void {
    if (this.#isClosed) return;
    this.#outbox.close(FRAME.close, encodeFarewell(farewell));
    this.#destroySoon();
    this.#finish(farewell);
  }

  /** The other end has a moment to read the last words, and to end its half. */
  #destroySoon(): void {
    if (this.#transport.destroyed) return;
    const timer = setTimeout(() => this.#transport.destroy(), TIMES.linkFarewellMs);
    this.#transport.once('close', () => clearTimeout(timer));
  }

  #lost(reason: string): void {
    if (this.#isClosed) return;
    this.#outbox.abandon();
    this.#transport.destroy();
    this.#finish({ code: 'lost', reason });
  }

  #finish(farewell: Farewell): void {
    this.#isClosed = true;
    this.#probes.stop();
    const fault: Fault = { code: 'node_lost', message: `the link to the node closed: ${farewell.reason}` };
    for (const stream of [...this.#streams.values()]) stream.receiveReset(fault);
    this.#events.closed(farewell);
  }

  #receive(chunk: Buffer | null): void {
    if (this.#isClosed) return;
    this.#probes.heard();
    if (chunk !== null) this.#reader.append(chunk);
    try {
      for (let frame = this.#reader.next(); frame !== null; frame = this.#reader.next()) {
        this.#handle(frame);
        if (this.#isClosed) return;
      }
    } catch (error) {
      if (!(error instanceof WireError || error instanceof FrameError)) throw error;
      this.close({ code: 'garbage', reason: error.message });
    }
  }

  #handle({ type, streamId, payload }: WireFrame): void {
    const stream = this.#streams.get(streamId);
    switch (type) {
      case FRAME.control:
        this.#receiveControl(payload);
        break;
      case FRAME.ping:
        this.#outbox.send(FRAME.pong, 0, payload);
        this.#checkBuffer();
        break;
      case FRAME.pong:
        this.#probes.answered(payload);
        break;
      case FRAME.close:
        this.#closeFrom(decodeFarewell(payload));
        break;
      case FRAME.streamOpen:
        this.#accept(streamId, payload);
        break;
      case FRAME.streamAccept:
        this.#opened(streamId);
        break;
      // For a stream that this end has closed already, what was under way means nothing.
      case FRAME.streamData:
        stream?.receive(payload);
        break;
      case FRAME.streamWindow:
        stream?.grant(decodeCount(payload));
        break;
      case FRAME.streamEnd:
        stream?.receiveEnd();
        break;
      case FRAME.streamReset:
        stream?.receiveReset(decodeFault(payload));
        break;
      default:
        throw new WireError(`a frame of type ${type} on an open link`);
    }
  }

  #receiveControl(payload: Buffer): void {
    for (const message of this.#messages.messages(payload)) {
      if (!this.#isClosed) this.#events.received(message);
    }
  }

  #closeFrom(farewell: Farewell): void {
    if (this.#isClosed) return;
    this.#outbox.abandon();
    this.#transport.end();
    this.#destroySoon();
    this.#finish({ ...farewell, isFromPeer: true });
  }

  #accept(streamId: number, payload: Buffer): void {
    if (streamId % 2 === this.#parity || streamId === 0 || this.#streams.has(streamId)) {
      throw new WireError(`a stream with the id ${streamId}`);
    }
    const { kind, head } = decodeHead(payload);
    if (this.#streams.size - this.#ownStreams >= LIMITS.linkStreams) {
      const message = 'as many streams as allowed are open on the link';
      this.#outbox.send(FRAME.streamReset, streamId, encodeFault({ code: 'queue_full', message }));
      this.#checkBuffer();
      return;
    }
    const stream = new LinkStream(streamId, this.#port);
    this.#streams.set(streamId, stream);
    stream.grant(LIMITS.streamWindowBytes);
    try {
      this.#events.streamOpened(kind, head, stream);
    } catch (error) {
      stream.destroy(error as Error);
      this.#checkBuffer();
      return;
    }
    this.#outbox.send(FRAME.streamAccept, streamId);
    this.#checkBuffer();
  }

  #opened(streamId: number): void {
    const opening = this.#openings.get(streamId);
    // Given up meanwhile: the reset is under way.
    if (opening === undefined) return;
    this.#openings.delete(streamId);
    opening.stream.grant(LIMITS.streamWindowBytes);
    opening.opened(opening.stream);
  }

  #forget(stream: LinkStream, fault: Fault | null): void {
    this.#outbox.remove(stream);
    this.#openings.delete(stream.id);
    if (!this.#streams.delete(stream.id)) return;
    if (stream.id % 2 === this.#parity) this.#ownStreams -= 1;
    if (fault !== null) this.#outbox.send(FRAME.streamReset, stream.id, encodeFault(fault));
  }

  #nextStreamId(): number {
    do {
      this.#lastStreamId =
        this.#lastStreamId + 2 > MOST_STREAM_ID ? this.#parity || 2 : this.#lastStreamId + 2;
    } while (this.#streams.has(this.#lastStreamId));
    return this.#lastStreamId;
  }

  #checkBuffer(): void {
    const waitingBytes = this.#outbox.waitingBytes;
    if (waitingBytes <= LIMITS.linkControlBufferBytes) return;
    this.close({ code: 'not_reading', reason: `${waitingBytes} bytes of messages were not read` });
  }
}

function abortError(signal: AbortSignal): Error {
  return signal.reason instanceof Error
    ? signal.reason
    : new ShoalError('cancelled', 'the stream was given up');
}

function encodeCount(count: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32LE(count);
  return payload;
}

function decodeCount(payload: Buffer): number {
  if (payload.length !== 4) throw new WireError('a stream window that is no number');
  return payload.readUInt32LE(0);
}

function decodeHead(payload: Buffer): { readonly kind: string; readonly head: StreamHead } {
  const value = payload.length <= LIMITS.streamHeadBytes ? decodeObject(payload) : null;
  const kind = value?.kind;
  const head = asObject(value?.head);
  if (typeof kind !== 'string' || kind.length > KIND_CHARACTERS || head === null) {
    throw new WireError('a stream without a proper head');
  }
  return { kind, head };
}

function encodeFault({ code, message }: Fault): Buffer {
  return pack({ code, message: message.slice(0, FAULT_CHARACTERS) });
}

/** A fault of another version keeps its words, under a code that this one knows. */
function decodeFault(payload: Buffer): Fault {
  const value = decodeObject(payload);
  if (typeof value?.code !== 'string' || typeof value.message !== 'string') {
    throw new WireError('a stream reset without a reason');
  }
  const code = Object.hasOwn(ERRORS, value.code) ? (value.code as ErrorCode) : 'node_lost';
  return { code, message: value.message.slice(0, FAULT_CHARACTERS) };
}

function decodeObject(payload: Buffer): Readonly<Record<string, unknown>> | null {
  try {
    return asObject(unpack(payload));
  } catch {
    return null;
  }
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | null {
  const isPlain =
    typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
  return isPlain ? (value as Record<string, unknown>) : null;
}
