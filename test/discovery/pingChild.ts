/** Sends a datagram to each address again and again, and prints the address of each one that comes. */
import { createSocket } from 'node:dgram';

const PORT = 40_000;
const EVERY_MS = 20;
const addresses = process.argv.slice(2);

const socket = createSocket('udp4');
socket.on('message', (_message, { address }) => void process.stdout.write(`${address}\n`));
socket.on('error', (error) => void process.stderr.write(`${error.message}\n`));
socket.bind(PORT, () => {
  setInterval(() => {
    for (const address of addresses) {
      socket.send('ping', PORT, address, (error) => {
        // Without a carrier there is no route: that is what is being tested.
        if (error !== null) process.stderr.write(`${error.message}\n`);
      });
    }
  }, EVERY_MS);
});
process.stdin.resume();
process.stdin.on('close', () => process.exit(0));
