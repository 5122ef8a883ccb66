/**
 * What a node says of itself in one UDP packet, sealed with the cluster's key. Layout, integers big-endian:
 *
 * | bytes | what |
 * |---|---|
 * | 4 | `SHOA` |
 * | 1 | version of the layout; the mark of the cluster and the seal stand at the same place in every version |
 * | 8 | mark of the cluster, to pass over others' packets cheaply |
 * | 1 | kind |
 * | 8 | boot: drawn at each start of the node |
 * | 8 | boot of the node that is spoken to, or zeros |
 * | 6 | sequence number within the boot |
 * | 8 | clock in milliseconds since the epoch, as a double |
 * | 2 | port of the node's links |
 * | 1, n | length and characters of the node's id |
 * | 32 | HMAC-SHA-256 of everything before |
 */
import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';

const NAME = 'SHOA';
const VERSION = 1;
const CLUSTER_AT = 5;
const CLUSTER_BYTES = 8;
const KIND_AT = 13;
const BOOT_AT = 14;
const TO_AT = 22;
const SEQUENCE_AT = 30;
const SEQUENCE_BYTES = 6;
const CLOCK_AT = 36;
const PORT_AT = 44;
const ID_AT = 46;
const SEAL_BYTES = 32;
const LEAST_BYTES = ID_AT + 2 + SEAL_BYTES;
const LARGEST_ID = LIMITS.announcementBytes - LEAST_BYTES;

export const BOOT_BYTES = 8;
export const NOBODY = '00'.repeat(BOOT_BYTES);

/** `hello`: here I am. `ask`: prove that you are there now. `answer`: to an `ask`. */
const KINDS = ['hello', 'ask', 'answer'] as const;

export interface Announcement {
  readonly kind: (typeof KINDS)[number];
  readonly nodeId: NodeId;
  /** Hexadecimal. */
  readonly boot: string;
  /** Boot of the one who asked or is asked; else `NOBODY`. */
  readonly to: string;
  readonly sequence: number;
  readonly clockMs: number;
  readonly port: number;
}

export type OpenedAnnouncement =
  | { readonly is: 'announcement'; readonly announcement: Announcement }
  | { readonly is: 'malformed' | 'other_cluster' | 'forged' }
  | { readonly is: 'other_version'; readonly version: number };

/** Seals and opens the announcements of one cluster. */
export class AnnouncementSeal {
  readonly #key: Buffer;
  readonly #cluster: Buffer;

  /** @param clusterKey 32 bytes; what is derived from it here tells nothing about it */
  constructor(clusterKey: Buffer) {
    const derived = Buffer.from(
      hkdfSync('sha256', clusterKey, '', 'shoal discovery 1', SEAL_BYTES + CLUSTER_BYTES),
    );
    this.#key = derived.subarray(0, SEAL_BYTES);
    this.#cluster = derived.subarray(SEAL_BYTES);
  }

  seal(announcement: Announcement): Buffer {
    const { nodeId, boot, to } = announcement;
    const id = Buffer.from(nodeId, 'latin1');
    if (id.length === 0 || id.length > LARGEST_ID) throw new RangeError(`a node id of ${id.length} bytes`);
    const packet = Buffer.alloc(ID_AT + 1 + id.length + SEAL_BYTES);
    packet.write(NAME, 'latin1');
    packet.writeUInt8(VERSION, NAME.length);
    this.#cluster.copy(packet, CLUSTER_AT);
    packet.writeUInt8(KINDS.indexOf(announcement.kind), KIND_AT);
    packet.write(boot, BOOT_AT, BOOT_BYTES, 'hex');
    packet.write(to, TO_AT, BOOT_BYTES, 'hex');
    packet.writeUIntBE(announcement.sequence, SEQUENCE_AT, SEQUENCE_BYTES);
    packet.writeDoubleBE(announcement.clockMs, CLOCK_AT);
    packet.writeUInt16BE(announcement.port, PORT_AT);
    packet.writeUInt8(id.length, ID_AT);
    id.copy(packet, ID_AT + 1);
    this.#sealOf(packet).copy(packet, packet.length - SEAL_BYTES);
    return packet;
  }

  /** Takes any bytes. Everything that a stranger can send is told apart before the seal is computed. */
  open(packet: Buffer): OpenedAnnouncement {
    if (packet.length < LEAST_BYTES || packet.length > LIMITS.announcementBytes) return { is: 'malformed' };
    if (packet.toString('latin1', 0, NAME.length) !== NAME) return { is: 'malformed' };
    if (!packet.subarray(CLUSTER_AT, CLUSTER_AT + CLUSTER_BYTES).equals(this.#cluster)) {
      return { is: 'other_cluster' };
    }
    const seal = packet.subarray(packet.length - SEAL_BYTES);
    if (!timingSafeEqual(seal, this.#sealOf(packet))) return { is: 'forged' };
    const version = packet.readUInt8(NAME.length);
    if (version !== VERSION) return { is: 'other_version', version };
    return read(packet);
  }

  #sealOf(packet: Buffer): Buffer {
    return createHmac('sha256', this.#key)
      .update(packet.subarray(0, packet.length - SEAL_BYTES))
      .digest();
  }
}

/** The sender has the key, but may be wrong all the same. */
function read(packet: Buffer): OpenedAnnouncement {
  const kind = KINDS[packet.readUInt8(KIND_AT)];
  const idBytes = packet.readUInt8(ID_AT);
  const clockMs = packet.readDoubleBE(CLOCK_AT);
  const port = packet.readUInt16BE(PORT_AT);
  const nodeId = packet.toString('latin1', ID_AT + 1, ID_AT + 1 + idBytes) as NodeId;
  const isWhole = packet.length === ID_AT + 1 + idBytes + SEAL_BYTES;
  if (
    kind === undefined ||
    !isWhole ||
    !Number.isFinite(clockMs) ||
    port === 0 ||
    !/^[\x21-\x7e]+$/.test(nodeId)
  ) {
    return { is: 'malformed' };
  }
  const hex = (at: number) => packet.toString('hex', at, at + BOOT_BYTES);
  const sequence = packet.readUIntBE(SEQUENCE_AT, SEQUENCE_BYTES);
  const announcement = { kind, nodeId, boot: hex(BOOT_AT), to: hex(TO_AT), sequence, clockMs, port };
  return { is: 'announcement', announcement };
}
