/** The same encryption without anything on it, in a process of its own: echoes, or swallows and counts. */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:tls';
import { linkSecret, listenerOptions } from '../../src/cluster/link/tlsTransport.js';

const [clusterKey = randomBytes(32).toString('hex'), sinkBytes = '0'] = process.argv.slice(2);
const server = createServer(listenerOptions(linkSecret(Buffer.from(clusterKey, 'hex'))), (socket) => {
  let missing = Number(sinkBytes);
  if (missing === 0) socket.pipe(socket);
  else {
    socket.on('data', (chunk: Buffer) => {
      missing -= chunk.length;
      if (missing <= 0) socket.end('done');
    });
  }
  socket.on('error', () => socket.destroy());
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
process.stdin.resume().on('end', () => process.exit(0));
