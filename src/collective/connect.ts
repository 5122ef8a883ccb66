/**
 * How ranks become a collective: each listens, tells all others where through the side channel, dials its neighbours of
 * higher rank on the best path, and takes the connections of those of lower rank. A first barrier says that all are
 * linked.
 */
import { ShoalError } from '../shared/errors.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import { Acceptor } from './connect/acceptor.js';
import { dialFastest } from './connect/dial.js';
import { Channel, type Encryption, SECRET_BYTES } from './connect/encryption.js';
import {
  decodeEndpoint,
  type Endpoint,
  encodeEndpoint,
  ownAddresses,
  targetsOf,
} from './connect/endpoint.js';
import type { Collective } from './contract.js';
import { RankNames } from './culprit.js';
import { KIND } from './link/wire.js';
import { LinkedCollective } from './linkedCollective.js';
import { LinkGroup } from './linkGroup.js';
import { mesh } from './shape/mesh.js';
import { ring } from './shape/ring.js';
import type { Shape, World } from './shape/shape.js';

const SHAPES = { ring, mesh } as const;
export type ShapeName = keyof typeof SHAPES;

export interface CollectiveSettings {
  readonly rank: number;
  readonly worldSize: number;
  readonly shape: ShapeName;
  /** 32 random bytes of this instance. */
  readonly secret: Uint8Array;
  /** Names of the ranks' nodes, for messages. */
  readonly names?: readonly string[];
}

/**
 * Tells all ranks a blob, and resolves with those of all ranks in their order, once every rank has told its own. It
 * bounds the time by itself, and gives up when the signal says so.
 */
export type AllGather = (blob: Uint8Array, signal: AbortSignal) => Promise<readonly Uint8Array[]>;

export interface CollectiveOptions {
  /** Where to listen. @default all addresses of this machine */
  readonly host?: string;
  /** @default any free one */
  readonly port?: number;
  /** What the others are told to dial. @default `host`, or all addresses of this machine */
  readonly addresses?: readonly string[];
  /** Addresses of this machine to dial from. @default the system chooses */
  readonly localAddresses?: readonly string[];
  /** Everything until the first barrier, in milliseconds. @default `collectiveConnectMs` */
  readonly connectMs?: number;
  /** Deadline of an operation that names none. @default `collectiveOperationMs` */
  readonly operationMs?: number;
  /** @default 'tls' */
  readonly encryption?: Encryption;
  readonly signal?: AbortSignal;
}

/**
 * Resolves when all ranks are linked.
 * @throws {ShoalError} which names the rank that is missing or at fault; nothing is left open then
 */
export async function connectCollective(
  settings: CollectiveSettings,
  allGather: AllGather,
  options: CollectiveOptions = {},
): Promise<Collective> {
  check(settings);
  const world = { rank: settings.rank, size: settings.worldSize };
  const shape: Shape = SHAPES[settings.shape];
  const names = new RankNames(settings.names);
  const group = new LinkGroup(names);
  const {
    connectMs = TIMES.collectiveConnectMs,
    operationMs = TIMES.collectiveOperationMs,
    signal,
  } = options;
  const giveUp = new AbortController();
  const cancel = () => group.fail(names.fault('cancelled', world.rank, 'gave up connecting'));
  const overdue = () => {
    const rank = shape.neighboursOf(world).find((neighbour) => !group.links.has(neighbour)) ?? world.rank;
    group.fail(names.fault('deadline_exceeded', rank, `has not been linked within ${connectMs} ms`));
  };
  if (signal?.aborted === true) cancel();
  signal?.addEventListener('abort', cancel);
  const timer = setTimeout(overdue, connectMs);
  void group.ended.then(() => giveUp.abort());
  const endsAt = performance.now() + connectMs;
  try {
    if (group.failure !== null) throw group.failure;
    if (world.size > 1) await link(settings, shape, group, allGather, options, giveUp.signal);
    const collective = new LinkedCollective({ group, shape, world }, operationMs);
    await collective.barrier({ deadlineMs: Math.max(1, endsAt - performance.now()) });
    return collective;
  } catch (error) {
    const reason = group.failure ?? asShoalError(error);
    group.fail(reason);
    await group.close();
    throw reason;
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', cancel);
  }
}

/** Resolves when there is a link to each neighbour. */
async function link(
  { rank, worldSize, secret }: CollectiveSettings,
  shape: Shape,
  group: LinkGroup,
  allGather: AllGather,
  { host, port = 0, addresses, localAddresses = [], encryption = 'tls' }: CollectiveOptions,
  signal: AbortSignal,
): Promise<void> {
  const world = { rank, size: worldSize };
  const neighbours = shape.neighboursOf(world);
  const channel = new Channel(secret, encryption);
  const acceptor = await Acceptor.start(channel, world, { host: host ?? null, port }, (stream, path) => {
    // The one of lower rank dials.
    if (path.rank < rank && neighbours.includes(path.rank)) return group.add(stream, path);
    return group.names.fault('peer_protocol_error', path.rank, 'dialled where it has no link').toFault();
  });
  try {
    const told = addresses ?? (host === undefined ? ownAddresses() : [host]);
    const own: Endpoint = { rank, addresses: told, port: acceptor.port };
    const failed = group.ended.then(() => Promise.reject(group.failure!));
    const blobs = await Promise.race([allGather(encodeEndpoint(own), signal), failed]);
    const endpoints = readEndpoints(blobs, world, group);
    const allLinked = new Promise<void>((resolve) => {
      group.onLinked = () => {
        if (group.links.size === neighbours.length) resolve();
      };
      group.onLinked();
    });
    const dialling = neighbours
      .filter((peer) => peer > rank)
      .map((peer) => dial(channel, world, group, endpoints[peer]!, localAddresses, signal));
    try {
      await Promise.race([Promise.all([allLinked, ...dialling]), failed]);
    } catch (error) {
      // Those that dial only now shall hear who is at fault, and not take this rank for it.
      await new Promise((resolve) => setTimeout(resolve, TIMES.collectiveProbeMs));
      throw error;
    }
  } finally {
    acceptor.close();
  }
}

async function dial(
  channel: Channel,
  world: World,
  group: LinkGroup,
  endpoint: Endpoint,
  localAddresses: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  const targets = targetsOf(endpoint, localAddresses);
  try {
    const { stream, path } = await dialFastest(channel, world, endpoint.rank, targets, signal);
    stream.write(KIND.choose, 0);
    if (group.add(stream, path) !== null) stream.destroy();
  } catch (error) {
    group.fail(
      group.names.fault('node_lost', endpoint.rank, `cannot be reached: ${(error as Error).message}`),
    );
  }
}

function readEndpoints(blobs: readonly Uint8Array[], { size }: World, { names }: LinkGroup): Endpoint[] {
  if (blobs.length !== size) {
    throw new ShoalError(
      'peer_protocol_error',
      `the side channel gave ${blobs.length} blobs for ${size} ranks`,
    );
  }
  return blobs.map((blob, rank) => {
    try {
      return decodeEndpoint(blob, rank);
    } catch (error) {
      throw names.fault('peer_protocol_error', rank, (error as Error).message);
    }
  });
}

function check({ rank, worldSize, secret, shape }: CollectiveSettings): void {
  const isSize = Number.isInteger(worldSize) && worldSize >= 1 && worldSize <= LIMITS.shardsPerInstance;
  if (!isSize || !Number.isInteger(rank) || rank < 0 || rank >= worldSize) {
    throw new ShoalError('invalid_request', `there is no rank ${rank} of ${worldSize}`);
  }
  if (!Object.hasOwn(SHAPES, shape)) throw new ShoalError('invalid_request', `there is no shape ${shape}`);
  if (secret.length !== SECRET_BYTES) {
    throw new ShoalError('invalid_request', `a secret has ${SECRET_BYTES} bytes, not ${secret.length}`);
  }
}

/** What failed of itself, such as the side channel, is no bug of the caller. */
function asShoalError(error: unknown): ShoalError {
  if (error instanceof ShoalError) return error;
  return new ShoalError('internal_error', (error as Error).message, { cause: error });
}
