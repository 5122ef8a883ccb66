/**
 * The runner's half of the side channel: what one rank tells goes through one pipe to its worker, and what all told
 * comes back through the other. The ranks meet with it, whatever transport they use then.
 */
import type { Socket } from 'node:net';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { openReadEnd, openWriteEnd } from '../../shared/sideChannel/pipeEnds.js';
import {
  encodeBlobs,
  SIDE_CHANNEL_IN,
  SIDE_CHANNEL_OUT,
  type SideChannelFrame,
  SideChannelReader,
  SideChannelWireError,
} from '../../shared/sideChannel/wire.js';

interface Pending {
  readonly round: number;
  readonly resolve: (blobs: readonly Uint8Array[]) => void;
  readonly reject: (reason: Error) => void;
}

export interface SideChannelOptions {
  /** The worker must have opened its end within this, in milliseconds. @default `sideChannelOpenMs` */
  readonly openMs?: number;
  /** All ranks must have contributed within this, in milliseconds. @default `sideChannelRoundMs` */
  readonly roundMs?: number;
}

export class SideChannel {
  readonly #reader: Socket;
  readonly #outPath: string;
  readonly #openMs: number;
  readonly #roundMs: number;
  readonly #frames = new SideChannelReader(LIMITS.shardsPerInstance);
  readonly #closing = new AbortController();
  #writer: Socket | null = null;
  #nextRound = 0;
  #pending: Pending | null = null;
  #failure: Error | null = null;

  /**
   * @param environment of the process, with the paths of the pipes
   * @throws {ShoalError} `not_ready` when the process was started without a side channel
   */
  constructor(environment: NodeJS.ProcessEnv = process.env, options: SideChannelOptions = {}) {
    const { [SIDE_CHANNEL_IN]: inPath, [SIDE_CHANNEL_OUT]: outPath } = environment;
    if (inPath === undefined || outPath === undefined) {
      throw new ShoalError('not_ready', 'this process was started without a side channel');
    }
    this.#outPath = outPath;
    this.#openMs = options.openMs ?? TIMES.sideChannelOpenMs;
    this.#roundMs = options.roundMs ?? TIMES.sideChannelRoundMs;
    this.#reader = openReadEnd(inPath);
    this.#reader.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#reader.on('error', (error) => this.#fail(broken(error.message)));
  }

  /**
   * Tells the other ranks a blob; resolves with those of all ranks, in their order. One at a time.
   * @throws {ShoalError} `invalid_request` when the blob is too long, `deadline_exceeded` when the others do not come in
   * time, `not_ready` when the worker says that the round has failed, `cancelled`
   */
  async allGather(blob: Uint8Array, signal?: AbortSignal): Promise<readonly Uint8Array[]> {
    if (blob.length > LIMITS.sideChannelBlobBytes) {
      throw new ShoalError(
        'invalid_request',
        `a blob of ${blob.length} bytes is too long for the side channel`,
      );
    }
    if (this.#pending !== null) throw new ShoalError('invalid_request', 'the ranks meet already');
    if (this.#failure !== null) throw this.#failure;
    const round = this.#nextRound;
    this.#nextRound += 1;
    const gathered = new Promise<readonly Uint8Array[]>((resolve, reject) => {
      this.#pending = { round, resolve, reject };
    });
    // A round that is given up has been contributed to: the channel is of no further use.
    const giveUp = () => this.#fail(new ShoalError('cancelled', 'the meeting of the ranks was given up'));
    const late = `not all ranks have come to the side channel within ${this.#roundMs} ms`;
    const timer = setTimeout(() => this.#fail(new ShoalError('deadline_exceeded', late)), this.#roundMs);
    if (signal?.aborted === true) giveUp();
    signal?.addEventListener('abort', giveUp);
    try {
      const [blobs] = await Promise.all([gathered, this.#tell(round, blob)]);
      return blobs;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', giveUp);
      this.#pending = null;
    }
  }

  /** Harmless when repeated. */
  close(): void {
    this.#fail(new ShoalError('cancelled', 'the side channel was closed'));
  }

  async #tell(round: number, blob: Uint8Array): Promise<void> {
    try {
      this.#writer ??= await this.#openWriter();
      this.#writer.write(encodeBlobs(round, [blob]));
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    }
  }

  async #openWriter(): Promise<Socket> {
    const writer = await openWriteEnd(this.#outPath, this.#openMs, this.#closing.signal);
    writer.on('error', (error) => this.#fail(broken(error.message)));
    if (this.#failure === null) return writer;
    writer.destroy();
    throw this.#failure;
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#frames.push(chunk)) this.#hear(frame);
    } catch (error) {
      if (!(error instanceof SideChannelWireError)) throw error;
      this.#fail(broken(`it brought ${error.message}`));
    }
  }

  #hear({ round, blobs, reason }: SideChannelFrame): void {
    const pending = this.#pending;
    if (pending === null || round !== pending.round) {
      this.#fail(broken(`it brought round ${round}, which nobody waits for`));
    } else if (blobs === null) {
      this.#fail(new ShoalError('not_ready', `the ranks could not meet: ${reason}`));
    } else pending.resolve(blobs);
  }

  #fail(reason: Error): void {
    if (this.#failure !== null) return;
    this.#failure = reason;
    this.#closing.abort();
    this.#pending?.reject(reason);
    this.#reader.destroy();
    this.#writer?.destroy();
  }
}

function broken(reason: string): ShoalError {
  return new ShoalError('not_ready', `the side channel broke: ${reason}`);
}
