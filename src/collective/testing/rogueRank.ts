/**
 * A rank that has the secret and links itself as every other does, and then says what no rank says. With it tests see
 * what the other ranks make of it.
 */
import type { Socket } from 'node:net';
import { Channel } from '../connect/encryption.js';
import { encodeHello } from '../connect/hello.js';
import { FrameStream } from '../link/frameStream.js';
import { type FrameHeader, KIND } from '../link/wire.js';
import type { World } from '../shape/shape.js';

export class RogueRank {
  /** Bytes that are written here are on the wire as they are; frames 0 and 1 of this end are hello and choose. */
  readonly socket: Socket;
  readonly stream: FrameStream;

  private constructor(socket: Socket, stream: FrameStream) {
    this.socket = socket;
    this.stream = stream;
  }

  /** Dials a rank and becomes its link. */
  static async dial(secret: Uint8Array, world: World, port: number): Promise<RogueRank> {
    const channel = new Channel(secret, 'tls');
    return await new Promise((resolve, reject) => {
      const target = { host: '127.0.0.1', port, localAddress: null };
      const socket = channel.dial(target, () => {
        const stream = new FrameStream(socket, {
          open: ({ length }: FrameHeader) => new Uint8Array(length),
          complete: ({ kind }) => {
            if (kind !== KIND.hello) return;
            stream.write(KIND.choose, 0);
            resolve(new RogueRank(socket, stream));
          },
          ended: reject,
        });
        stream.write(KIND.hello, 0, [encodeHello(channel, socket, 'dialler', world)]);
      });
      socket.on('error', reject);
    });
  }
}
