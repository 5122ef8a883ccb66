/**
 * The worker's half of one runner's side channel: it carries what the runner tells to the place where all ranks'
 * blobs are gathered, and what was gathered back. A runner is not trusted to keep to the form or to read at all.
 */
import type { Socket } from 'node:net';
import { type Fault, ShoalError, toFault } from '../../shared/errors.js';
import type { InstanceId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { openReadEnd, openWriteEnd } from '../../shared/sideChannel/pipeEnds.js';
import {
  encodeBlobs,
  encodeFailure,
  type SideChannelFrame,
  SideChannelReader,
  SideChannelWireError,
} from '../../shared/sideChannel/wire.js';
import { makePipes, type Pipes, removePipes } from './pipes.js';

/** Resolves with the blobs of all ranks, in their order. The signal ends the wait. */
export type Gather = (
  instanceId: InstanceId,
  round: number,
  rank: number,
  blob: Uint8Array,
  signal: AbortSignal,
) => Promise<readonly Uint8Array[]>;

export interface RelayComponents {
  readonly instanceId: InstanceId;
  readonly rank: number;
  readonly gather: Gather;
  /** The channel has failed and is closed. Called once at most, and not for `close`. */
  readonly onFailed: (fault: Fault) => void;
}

export interface RelayOptions {
  /** Where the pipes are made. */
  readonly folder: string;
  /** The runner must read within this, in milliseconds. @default `sideChannelOpenMs` */
  readonly openMs?: number;
  /** One round, in milliseconds. @default `sideChannelRoundMs` */
  readonly roundMs?: number;
}

export class SideChannelRelay {
  readonly #components: RelayComponents;
  readonly #pipes: Pipes;
  readonly #openMs: number;
  readonly #roundMs: number;
  readonly #reader: Socket;
  readonly #frames = new SideChannelReader(1);
  readonly #closing = new AbortController();
  #writer: Socket | null = null;
  #nextRound = 0;
  #isGathering = false;
  /** Answers that are still on their way into the pipe. */
  #untaken = 0;
  #isClosed = false;

  private constructor(components: RelayComponents, pipes: Pipes, options: RelayOptions) {
    this.#components = components;
    this.#pipes = pipes;
    this.#openMs = options.openMs ?? TIMES.sideChannelOpenMs;
    this.#roundMs = options.roundMs ?? TIMES.sideChannelRoundMs;
    this.#reader = openReadEnd(pipes.fromRunner);
    this.#reader.on('data', (chunk: Buffer) => this.#take(chunk));
    this.#reader.on('error', (error) => this.#fail(error));
  }

  /** Makes the pipes. @throws {ShoalError} `sharding_unsupported` where there are none */
  static async open(components: RelayComponents, options: RelayOptions): Promise<SideChannelRelay> {
    const pipes = await makePipes(options.folder);
    try {
      return new SideChannelRelay(components, pipes, options);
    } catch (error) {
      removePipes(pipes);
      throw error;
    }
  }

  /** What the runner's process must be started with. */
  get environment(): Readonly<Record<string, string>> {
    return this.#pipes.environment;
  }

  /**
   * Drops the round that is pending and removes the pipes; to be called when the runner has ended, or its instance is
   * deleted. Harmless when repeated.
   */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#closing.abort();
    this.#reader.destroy();
    this.#writer?.destroy();
    removePipes(this.#pipes);
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#frames.push(chunk)) this.#hear(frame);
    } catch (error) {
      if (!(error instanceof SideChannelWireError)) throw error;
      this.#fail(new ShoalError('peer_protocol_error', `the runner's side channel brought ${error.message}`));
    }
  }

  #hear({ round, blobs }: SideChannelFrame): void {
    if (this.#isClosed) return;
    const blob = blobs?.[0];
    if (round !== this.#nextRound || this.#isGathering || blob === undefined) {
      throw new SideChannelWireError(`round ${round} instead of ${this.#nextRound}, or before its answer`);
    }
    if (this.#untaken >= LIMITS.sideChannelRounds) {
      throw new SideChannelWireError(`round ${round} without having read the answers of ${this.#untaken}`);
    }
    this.#isGathering = true;
    void this.#relay(round, blob);
  }

  async #relay(round: number, blob: Uint8Array): Promise<void> {
    const { instanceId, rank, gather } = this.#components;
    const ending = new AbortController();
    const end = () => ending.abort();
    this.#closing.signal.addEventListener('abort', end);
    const late = new ShoalError('deadline_exceeded', `not all ranks have come within ${this.#roundMs} ms`);
    let timer: NodeJS.Timeout | undefined;
    try {
      const overdue = new Promise<never>((_, reject) => {
        timer = setTimeout(() => {
          reject(late);
          end();
        }, this.#roundMs);
      });
      const closed = new Promise<never>((_, reject) => {
        ending.signal.addEventListener('abort', () => reject(late));
      });
      const all = await Promise.race([gather(instanceId, round, rank, blob, ending.signal), overdue, closed]);
      this.#isGathering = false;
      this.#nextRound = round + 1;
      await this.#answer(encodeBlobs(round, all));
    } catch (error) {
      if (this.#isClosed) return;
      await this.#answerFailure(round, error);
      this.#fail(error);
    } finally {
      clearTimeout(timer);
      this.#closing.signal.removeEventListener('abort', end);
    }
  }

  /** A runner that does not read is told in vain; why the round failed says more than that. */
  async #answerFailure(round: number, error: unknown): Promise<void> {
    try {
      await this.#answer(encodeFailure(round, toFault(error).message));
    } catch (unheard) {
      if (!(unheard instanceof ShoalError)) throw unheard;
    }
  }

  async #answer(frame: Buffer): Promise<void> {
    if (this.#writer === null) {
      const writer = await openWriteEnd(this.#pipes.toRunner, this.#openMs, this.#closing.signal);
      if (this.#isClosed) {
        writer.destroy();
        return;
      }
      writer.on('error', (error) => this.#fail(error));
      this.#writer = writer;
    }
    this.#untaken += 1;
    this.#writer.write(frame, () => {
      this.#untaken -= 1;
    });
  }

  #fail(error: unknown): void {
    if (this.#isClosed) return;
    this.close();
    this.#components.onFailed(toFault(error));
  }
}
