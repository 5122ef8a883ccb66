/**
 * Stands inside a host and lets its test in: a Unix socket is reached from any network namespace. The visitor says
 * `PORT` and a newline, and is connected to that port of the host's loopback. Ends with its standard input.
 */
import { connect, createServer, type Socket } from 'node:net';

const path = process.argv[2];
if (path === undefined) throw new Error('usage: hostsDoorman SOCKET');

const server = createServer({ allowHalfOpen: true }, (visitor) => {
  visitor.on('error', () => visitor.destroy());
  visitor.once('readable', () => admit(visitor));
});

function admit(visitor: Socket): void {
  const first = visitor.read() as Buffer | null;
  if (first === null) return;
  const end = first.indexOf('\n');
  const inside = connect({ port: Number(first.subarray(0, end)), host: '127.0.0.1', allowHalfOpen: true });
  inside.on('error', () => visitor.destroy());
  visitor.on('close', () => inside.destroy());
  visitor.unshift(first.subarray(end + 1));
  visitor.pipe(inside).pipe(visitor);
}

server.listen(path, () => process.stdout.write('open\n'));
process.stdin.resume();
process.stdin.on('close', () => process.exit(0));
