/**
 * What an end says of itself when a connection stands, and its proof: a signature over this connection's own keying
 * material, so that nobody can repeat it on another connection, nor say it for another node.
 */
import { pack, unpack } from 'msgpackr';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import { isSignedBy, type NodeKey, nodeIdOf } from '../nodeKey.js';
import { LINK_PROTOCOL } from './wire.js';

export type LinkRole = 'dialler' | 'listener';

export interface Hello {
  readonly nodeId: NodeId;
  readonly name: string;
  readonly incarnation: number;
  /** Random for each process: tells two processes with one identity apart. */
  readonly bootId: string;
  /** Wall clock in milliseconds since 1970. */
  readonly clockMs: number;
  /** Where that node listens for links. */
  readonly port: number;
}

export type ReadHello =
  | { readonly kind: 'hello'; readonly hello: Hello }
  | { readonly kind: 'otherVersion'; readonly version: number }
  | { readonly kind: 'refused'; readonly reason: string };

/** @param keyingMaterial exported from the connection, the same at both ends and on no other connection */
export function encodeHello(hello: Hello, key: NodeKey, role: LinkRole, keyingMaterial: Buffer): Buffer {
  const body = pack({ ...hello, publicKey: key.publicKey });
  const signature = key.sign(signedText(role, keyingMaterial, body));
  return pack({ version: LINK_PROTOCOL, body, signature });
}

/** @param role of the other end */
export function readHello(payload: Buffer, role: LinkRole, keyingMaterial: Buffer): ReadHello {
  const outer = decode(payload);
  const { version, body, signature } = outer ?? {};
  if (typeof version !== 'number' || !Number.isSafeInteger(version)) return refused('it said no version');
  if (version !== LINK_PROTOCOL) return { kind: 'otherVersion', version };
  if (!(body instanceof Uint8Array) || !(signature instanceof Uint8Array))
    return refused('its hello is malformed');
  const inner = decode(body);
  const hello = inner === null ? null : checked(inner);
  const publicKey = inner?.publicKey;
  if (hello === null || !(publicKey instanceof Uint8Array)) return refused('its hello is malformed');
  if (nodeIdOf(publicKey) !== hello.nodeId) return refused('its id is not that of its key');
  if (!isSignedBy(publicKey, signedText(role, keyingMaterial, Buffer.from(body)), signature)) {
    return refused('its signature is not of this connection');
  }
  return { kind: 'hello', hello };
}

function checked(value: Readonly<Record<string, unknown>>): Hello | null {
  const { nodeId, name, incarnation, bootId, clockMs, port } = value;
  const isGood =
    isText(nodeId) &&
    isText(name) &&
    isText(bootId) &&
    isCount(incarnation) &&
    isCount(port) &&
    isClock(clockMs);
  if (!isGood || (port as number) > 65_535) return null;
  return {
    nodeId: nodeId as NodeId,
    name: name as string,
    bootId: bootId as string,
    incarnation: incarnation as number,
    clockMs: clockMs as number,
    port: port as number,
  };
}

/** What goes into logs and on screens is one line. */
const CONTROL_CHARACTERS = /\p{Cc}/gu;

/** A name as others take it. */
export function cleanName(name: string): string {
  return name.replace(CONTROL_CHARACTERS, ' ').slice(0, LIMITS.nodeNameCharacters);
}

const isText = (value: unknown) => typeof value === 'string' && cleanName(value) === value;
const isCount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
const isClock = (value: unknown) => typeof value === 'number' && Number.isFinite(value);

function signedText(role: LinkRole, keyingMaterial: Buffer, body: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`shoal link hello ${role}\0`), keyingMaterial, body]);
}

function refused(reason: string): ReadHello {
  return { kind: 'refused', reason };
}

function decode(payload: Uint8Array): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = unpack(payload);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}
