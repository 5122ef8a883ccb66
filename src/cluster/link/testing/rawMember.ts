/** A member of the cluster that says what it likes, to see what nodes make of it. */
import { once } from 'node:events';
import type { TLSSocket } from 'node:tls';
import { NodeKey } from '../../nodeKey.js';
import { parseAddress } from '../addresses.js';
import { decodeFarewell, type Farewell } from '../farewell.js';
import { encodeHello, type Hello } from '../hello.js';
import { dialTls, keyingMaterialOf, linkSecret } from '../tlsTransport.js';
import { encodeFrame, FRAME, type FrameType, type WireFrame, WireReader } from '../wire.js';

export class RawMember {
  readonly socket: TLSSocket;
  readonly frames: WireFrame[] = [];
  readonly closed: Promise<unknown>;

  private constructor(socket: TLSSocket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.once('close', resolve));
    const reader = new WireReader();
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      reader.append(chunk);
      for (let frame = reader.next(); frame !== null; frame = reader.next()) this.frames.push(frame);
    });
  }

  static async connect(address: string, clusterKey: Buffer): Promise<RawMember> {
    const socket = dialTls(parseAddress(address), linkSecret(clusterKey));
    await once(socket, 'secureConnect');
    return new RawMember(socket);
  }

  /** Of this connection. */
  get keyingMaterial(): Buffer {
    return keyingMaterialOf(this.socket);
  }

  /** Why the other end closed, if it said so. */
  get farewell(): Farewell | null {
    const frame = this.frames.find(({ type }) => type === FRAME.close);
    return frame === undefined ? null : decodeFarewell(frame.payload);
  }

  send(type: FrameType, payload: Buffer, streamId = 0): void {
    this.socket.write(encodeFrame(type, streamId, payload));
  }

  /** An honest hello, unless told otherwise. */
  hello(key = NodeKey.make(), changes: Partial<Hello> = {}, keyingMaterial = this.keyingMaterial): Buffer {
    const hello: Hello = {
      nodeId: key.nodeId,
      name: 'raw',
      incarnation: 1,
      bootId: 'boot',
      clockMs: Date.now(),
      port: 1,
      ...changes,
    };
    return encodeHello(hello, key, 'dialler', keyingMaterial);
  }

  /** Becomes linked. The key is of a larger id than the node's, so that the node decides; or it decides itself. */
  async link(key = NodeKey.make()): Promise<void> {
    this.send(FRAME.hello, this.hello(key));
    while (this.frames.length === 0) await once(this.socket, 'data');
  }
}
