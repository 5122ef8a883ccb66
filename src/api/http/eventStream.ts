/**
 * A server-sent event stream on a hijacked reply. Status and headers go out with the first text, or, once it is kept
 * alive, with the first keep-alive when nothing came before; texts of one tick leave in one write; what the client does
 * not read is bounded; an ended stream that is not read is cut after a while.
 */
import type { ServerResponse } from 'node:http';
import type { FastifyReply } from 'fastify';

export interface EventStreamOptions {
  /** Longest silence, in milliseconds; a comment is sent before it is over. */
  readonly keepAliveMs: number;
  /** Unread bytes after which `onOverflow` is called. */
  readonly bufferBytes: number;
  /** Time to read what is left of an ended stream, in milliseconds. */
  readonly lingerMs: number;
  readonly onOverflow: () => void;
}

const KEEP_ALIVE_COMMENT = ': keep-alive\n\n';
const OK = 200;
/** Two quiet ticks of half the time each are the longest silence; no clock is read for a token. */
const TICKS_PER_KEEP_ALIVE = 2;

export class EventStream {
  readonly #reply: FastifyReply;
  readonly #response: ServerResponse;
  readonly #options: EventStreamOptions;
  #ticker: NodeJS.Timeout | undefined;
  #opened = false;
  #ended = false;
  #quietTicks = 0;
  #pending = '';

  constructor(reply: FastifyReply, options: EventStreamOptions) {
    this.#reply = reply;
    this.#response = reply.raw;
    this.#options = options;
  }

  /** It will be answered with events, and is kept alive from now on; so it is after its first text in any case. */
  keepAlive(): void {
    if (this.#ended) return;
    this.#ticker ??= setInterval(() => this.#tick(), this.#options.keepAliveMs / TICKS_PER_KEEP_ALIVE);
  }

  /** Have status and headers been sent? From then on an error can only be an event of the stream. */
  get opened(): boolean {
    return this.#opened;
  }

  /** Appends whole events in wire form. */
  write(text: string): void {
    if (this.#ended || this.#response.destroyed) return;
    this.#open();
    this.#quietTicks = 0;
    if (this.#pending === '') process.nextTick(() => this.#flush());
    this.#pending += text;
    if (this.#pending.length > this.#options.bufferBytes) this.#flush();
  }

  /** A line that clients skip. It is no reason to begin the answer: before the first byte an error has its status. */
  comment(line: string): void {
    if (this.#opened) this.write(`: ${line}\n\n`);
  }

  /** Sends what is pending and ends the response. Without any text before, nothing is sent. Harmless when repeated. */
  end(): void {
    clearInterval(this.#ticker);
    if (this.#ended) return;
    this.#flush();
    this.#ended = true;
    if (!this.#opened || this.#response.destroyed) return;
    const cut = setTimeout(() => this.#response.destroy(), this.#options.lingerMs);
    cut.unref();
    this.#response.once('close', () => clearTimeout(cut));
    this.#response.end();
  }

  #open(): void {
    if (this.#opened) return;
    this.#opened = true;
    this.keepAlive();
    this.#reply.hijack();
    this.#response.writeHead(OK, {
      ...(this.#reply.getHeaders() as Record<string, string>),
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
    });
    // A write that races with a closing connection; the close itself ends the request.
    this.#response.on('error', (error) => this.#reply.log.debug({ err: error }, 'stream write failed'));
  }

  #flush(): void {
    if (this.#pending === '' || this.#ended || this.#response.destroyed) return;
    const text = this.#pending;
    this.#pending = '';
    this.#response.write(text);
    if (this.#response.writableLength > this.#options.bufferBytes) this.#options.onOverflow();
  }

  #tick(): void {
    this.#quietTicks += 1;
    if (this.#quietTicks >= TICKS_PER_KEEP_ALIVE) this.write(KEEP_ALIVE_COMMENT);
  }
}
