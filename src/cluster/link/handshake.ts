/**
 * From an encrypted connection to a link: both ends say who they are at once, and the end with the smaller id says
 * whether the connection is their link. An end that refuses says why before it closes, so that both can tell their
 * people.
 */
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { NodeKey } from '../nodeKey.js';
import { decides, judge, type Life } from './admission.js';
import { decodeFarewell, encodeFarewell, type Farewell, farewell } from './farewell.js';
import { encodeHello, type Hello, type LinkRole, readHello } from './hello.js';
import type { Link } from './linkTable.js';
import { encodeFrame, FRAME, WireError, type WireFrame, WireReader } from './wire.js';

/** The connection does not become a link. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
  readonly farewell: Farewell;
  /** Who is at the other end, where that is proved. */
  readonly peer: Hello | null;
  /** The protocol version of the other end, where it is another. */
  readonly otherVersion: number | null;

  constructor(reason: Farewell, peer: Hello | null, otherVersion: number | null = null) {
    super(reason.reason);
    this.farewell = reason;
    this.peer = peer;
    this.otherVersion = otherVersion;
  }
}

export interface Connection {
  readonly transport: Duplex;
  readonly role: LinkRole;
  /** The same at both ends of this connection, and on no other. */
  readonly keyingMaterial: Buffer;
}

export interface HandshakeComponents {
  readonly key: NodeKey;
  /** What this end says of itself now. */
  readonly hello: () => Hello;
  readonly present: (peer: Life) => Link | null;
  readonly isFull: () => boolean;
  /** Nodes that there shall be no link with, whatever speaks for it. @default none */
  readonly dropped?: ReadonlySet<NodeId>;
  /** Numbers the decisions of this process. */
  readonly nextDecision: () => number;
  /** The connection becomes the link, in the place of the present one. */
  readonly open: (introduction: Introduction) => void;
}

export interface Introduction {
  readonly peer: Hello;
  /** With what has arrived behind the handshake. */
  readonly reader: WireReader;
  /** Of two connections to the same life the one with the higher number is the link. */
  readonly decision: number;
}

/**
 * @returns who is at the other end, when the connection has become the link
 * @throws {HandshakeError} when it does not; the connection is closing then
 */
export async function shakeHands(connection: Connection, components: HandshakeComponents): Promise<Hello> {
  const { transport } = connection;
  const frames = new FrameQueue(transport);
  try {
    return await negotiate(connection, components, frames);
  } catch (thrown) {
    const error = asHandshakeError(thrown);
    if (error.farewell.isFromPeer === true) transport.end();
    else transport.end(encodeFrame(FRAME.close, 0, encodeFarewell(error.farewell)));
    const timer = setTimeout(() => transport.destroy(), TIMES.linkFarewellMs);
    if (transport.destroyed) clearTimeout(timer);
    else transport.once('close', () => clearTimeout(timer));
    transport.resume();
    throw error;
  } finally {
    frames.detach();
  }
}

async function negotiate(
  { transport, role, keyingMaterial }: Connection,
  components: HandshakeComponents,
  frames: FrameQueue,
): Promise<Hello> {
  const self = components.hello();
  const reading = readPeer(frames, role === 'dialler' ? 'listener' : 'dialler', keyingMaterial);
  await refuseDropped(reading, components.dropped);
  transport.write(encodeFrame(FRAME.hello, 0, encodeHello(self, components.key, role, keyingMaterial)));
  const peer = await reading;
  if (components.dropped?.has(peer.nodeId)) throw new HandshakeError(farewell('dropped'), peer);
  await clearTheWay(self, peer, components);
  // From the last look at the present link to its replacement nothing is waited for.
  if (decides(self.nodeId, peer.nodeId)) {
    if (!transport.writable) throw new WireError('the connection was closed');
    const decision = components.nextDecision();
    transport.write(encodeFrame(FRAME.open, 0, encodeDecision(decision)));
    components.open({ peer, reader: frames.detach(), decision });
    return peer;
  }
  const frame = await frames.next(peer);
  if (frame.type !== FRAME.open) throw new WireError(`a frame of type ${frame.type} instead of the decision`);
  const decision = decodeDecision(frame.payload);
  const verdict = judge(self, peer, components.present(peer), components.isFull());
  if (verdict.kind === 'refuse') throw new HandshakeError(verdict.farewell, peer);
  const present = components.present(peer);
  if (present !== null && present.bootId === peer.bootId && present.decision > decision) {
    throw new HandshakeError(farewell('duplicate'), peer);
  }
  components.open({ peer, reader: frames.detach(), decision });
  return peer;
}

/** An end that knows who this is may take it for its link at once: who drops nodes lets the other speak first. */
async function refuseDropped(
  reading: Promise<Hello>,
  dropped: ReadonlySet<NodeId> = new Set(),
): Promise<void> {
  if (dropped.size === 0) return;
  // It may drop nodes too, and wait as well.
  const peer = await Promise.race([reading, sleep(SPEAK_FIRST_MS)]);
  if (peer !== undefined && dropped.has(peer.nodeId)) throw new HandshakeError(farewell('dropped'), peer);
}

const SPEAK_FIRST_MS = 500;

/** Returns when nothing stands against the new connection, without a wait after its last look. */
async function clearTheWay(
  self: Hello,
  peer: Hello,
  { present, isFull }: HandshakeComponents,
): Promise<void> {
  for (;;) {
    const link = present(peer);
    const verdict = judge(self, peer, link, isFull());
    if (verdict.kind === 'refuse') throw new HandshakeError(verdict.farewell, peer);
    if (verdict.kind === 'open' || link === null) return;
    if (await link.multiplexer.isAnswering(TIMES.linkRivalProbeMs)) {
      throw new HandshakeError(farewell('duplicate'), peer);
    }
    link.multiplexer.close({ code: 'silent', reason: 'the node dialled anew and the link did not answer' });
  }
}

function encodeDecision(decision: number): Buffer {
  const payload = Buffer.allocUnsafe(4);
  payload.writeUInt32LE(decision);
  return payload;
}

function decodeDecision(payload: Buffer): number {
  if (payload.length !== 4) throw new WireError('a decision without a number');
  return payload.readUInt32LE();
}

async function readPeer(frames: FrameQueue, role: LinkRole, keyingMaterial: Buffer): Promise<Hello> {
  const { type, payload } = await frames.next(null);
  if (type !== FRAME.hello) throw new WireError(`a frame of type ${type} instead of a hello`);
  const read = readHello(payload, role, keyingMaterial);
  if (read.kind === 'otherVersion') throw new HandshakeError(farewell('version'), null, read.version);
  if (read.kind === 'refused') {
    throw new HandshakeError({ code: 'identity', reason: read.reason }, null);
  }
  return read.hello;
}

function asHandshakeError(thrown: unknown): HandshakeError {
  if (thrown instanceof HandshakeError) return thrown;
  const reason = (thrown as Error).message;
  return new HandshakeError({ code: thrown instanceof WireError ? 'garbage' : 'lost', reason }, null);
}

/** The frames of a connection one by one. It reads no further than it must: the rest belongs to the link. */
class FrameQueue {
  readonly #reader = new WireReader();
  readonly #transport: Duplex;
  readonly #onData = (chunk: Buffer) => {
    this.#transport.pause();
    this.#reader.append(chunk);
  };

  constructor(transport: Duplex) {
    this.#transport = transport;
    this.#reader.limitBytes = LIMITS.linkHelloBytes;
    transport.pause();
    transport.on('data', this.#onData);
  }

  /** @throws {HandshakeError} when the other end says that it closes */
  async next(peer: Hello | null): Promise<WireFrame> {
    for (;;) {
      const frame = this.#reader.next();
      if (frame?.type === FRAME.close) {
        throw new HandshakeError({ ...decodeFarewell(frame.payload), isFromPeer: true }, peer);
      }
      if (frame !== null) return frame;
      await this.#more();
    }
  }

  /** Leaves the transport paused, and what was read and not asked for in the reader. */
  detach(): WireReader {
    this.#transport.off('data', this.#onData);
    return this.#reader;
  }

  async #more(): Promise<void> {
    if (this.#transport.destroyed || this.#transport.readableEnded)
      throw new Error('the connection was closed');
    const settled = new AbortController();
    const options = { signal: settled.signal };
    this.#transport.resume();
    try {
      // `once` rejects on an error.
      await Promise.race([
        once(this.#transport, 'data', options),
        once(this.#transport, 'end', options).then(closed),
        once(this.#transport, 'close', options).then(closed),
      ]);
    } finally {
      settled.abort();
    }
  }
}

function closed(): never {
  throw new Error('the connection was closed');
}
