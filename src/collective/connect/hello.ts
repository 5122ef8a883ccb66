/** The first frame of each end: rank and world size, and the proof that its process has the secret of the instance. */
import type { Socket } from 'node:net';
import { HELLO_BYTES, WireError } from '../link/wire.js';
import type { World } from '../shape/shape.js';
import type { Channel, Role } from './encryption.js';

const CLAIM_BYTES = 8;

export function encodeHello(channel: Channel, socket: Socket, role: Role, { rank, size }: World): Buffer {
  const claim = Buffer.alloc(CLAIM_BYTES);
  claim.writeUInt32LE(rank, 0);
  claim.writeUInt32LE(size, 4);
  return Buffer.concat([claim, channel.proofOf(socket, role, claim)]);
}

/**
 * @param role of the other end
 * @returns its rank
 * @throws {WireError} when it is no other rank of this instance
 */
export function readHello(
  payload: Uint8Array,
  channel: Channel,
  socket: Socket,
  role: Role,
  world: World,
): number {
  if (payload.length !== HELLO_BYTES) throw new WireError('a malformed hello');
  const claim = Buffer.from(payload.buffer, payload.byteOffset, CLAIM_BYTES);
  if (!channel.isProof(payload.subarray(CLAIM_BYTES), socket, role, claim)) {
    throw new WireError('a hello without proof');
  }
  const [rank, size] = [claim.readUInt32LE(0), claim.readUInt32LE(4)];
  if (size !== world.size) throw new WireError(`a hello from a world of ${size} ranks`);
  if (rank >= size || rank === world.rank) throw new WireError(`a hello of rank ${rank}`);
  return rank;
}
