/**
 * Dials another rank on all paths at once, measures each that works with round trips of the size of a hidden state, and
 * keeps the fastest. The kind of an interface says less about it than a measurement.
 */
import type { Socket } from 'node:net';
import { TIMES } from '../../shared/limits.js';
import type { LinkPath } from '../contract.js';
import { type FrameHandler, FrameStream } from '../link/frameStream.js';
import { type FrameHeader, KIND, PROBE_BYTES, WireError } from '../link/wire.js';
import type { World } from '../shape/shape.js';
import { pathOf } from './acceptor.js';
import type { Channel, Target } from './encryption.js';
import { encodeHello, readHello } from './hello.js';

/** The first ones warm the path up and are not counted. */
const WARM_UP_PROBES = 4;
const COUNTED_PROBES = 12;

interface MeasuredPath {
  readonly stream: FrameStream;
  readonly path: LinkPath;
  readonly roundTripUs: number;
}

/**
 * @returns the fastest connection; the others are closed. Whoever takes it says `choose` on it.
 * @throws {Error} when no path works; the message says of each why
 */
export async function dialFastest(
  channel: Channel,
  world: World,
  peer: number,
  targets: readonly Target[],
  signal: AbortSignal,
): Promise<MeasuredPath> {
  const measured: MeasuredPath[] = [];
  const failures: string[] = [];
  const attempts = targets.map((target) => new Attempt(channel, world, peer, target));
  const stop = () => {
    for (const attempt of attempts) attempt.stop('given up');
  };
  signal.addEventListener('abort', stop);
  let timer: NodeJS.Timeout | undefined;
  try {
    await Promise.all(
      attempts.map(async (attempt, index) => {
        try {
          measured.push(await attempt.done);
          timer ??= setTimeout(stop, TIMES.collectiveRivalPathMs);
        } catch (error) {
          failures.push(`${targets[index]!.host}: ${(error as Error).message}`);
        }
      }),
    );
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
  measured.sort((a, b) => a.roundTripUs - b.roundTripUs);
  const [best, ...rest] = measured;
  for (const { stream } of rest) stream.destroy();
  if (best === undefined)
    throw new Error(failures.join('; ') || 'it told no address that this rank can dial');
  if (signal.aborted) {
    best.stream.destroy();
    throw new Error('given up');
  }
  return best;
}

/** One path, from the dialling of it to its measure. */
class Attempt implements FrameHandler {
  readonly done: Promise<MeasuredPath>;
  #resolve: (path: MeasuredPath) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  readonly #socket: Socket;
  #stream: FrameStream | null = null;
  readonly #channel: Channel;
  readonly #world: World;
  readonly #peer: number;
  readonly #timer: NodeJS.Timeout;
  #isOver = false;
  readonly #roundTripsUs: number[] = [];
  #probe = 0;
  #probeSentAt = 0;

  constructor(channel: Channel, world: World, peer: number, target: Target) {
    this.#channel = channel;
    this.#world = world;
    this.#peer = peer;
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#timer = setTimeout(() => this.stop('no answer'), TIMES.linkHandshakeMs);
    this.#socket = channel.dial(target, () => this.#connected());
    this.#socket.on('error', (error) => this.stop(error.message));
  }

  /** Does nothing when the path is measured already. */
  stop(reason: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#socket.destroy();
    this.#reject(new Error(reason));
  }

  open({ kind, length }: FrameHeader): Uint8Array {
    const isExpected = kind === (this.#probe === 0 ? KIND.hello : KIND.echo);
    if (!isExpected) throw new WireError(`a frame of kind ${kind} before there is a link`);
    return new Uint8Array(length);
  }

  complete({ kind, tag }: FrameHeader, payload: Uint8Array): void {
    if (kind === KIND.hello) {
      const rank = readHello(payload, this.#channel, this.#socket, 'listener', this.#world);
      if (rank !== this.#peer) throw new WireError(`the hello of rank ${rank}`);
    } else {
      if (tag !== this.#probe || payload.length !== PROBE_BYTES)
        throw new WireError('an echo of something else');
      this.#roundTripsUs.push((performance.now() - this.#probeSentAt) * 1_000);
    }
    if (this.#probe < WARM_UP_PROBES + COUNTED_PROBES) this.#sendProbe();
    else this.#finish();
  }

  ended(error: Error): void {
    this.stop(error.message);
  }

  #connected(): void {
    if (this.#isOver) return;
    this.#stream = new FrameStream(this.#socket, this);
    this.#stream.write(KIND.hello, 0, [encodeHello(this.#channel, this.#socket, 'dialler', this.#world)]);
  }

  #sendProbe(): void {
    this.#probe += 1;
    this.#probeSentAt = performance.now();
    this.#stream!.write(KIND.probe, this.#probe, [Buffer.alloc(PROBE_BYTES)]);
  }

  #finish(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    const counted = this.#roundTripsUs.slice(WARM_UP_PROBES).sort((a, b) => a - b);
    const roundTripUs = Math.round(counted[Math.floor(counted.length / 2)]!);
    this.#resolve({
      stream: this.#stream!,
      path: pathOf(this.#socket, this.#peer, roundTripUs),
      roundTripUs,
    });
  }
}
