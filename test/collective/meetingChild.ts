/**
 * A runner that meets others through its side channel: `meetingChild.js MODE RANK WORLD_SIZE SECRET`. `sum` links itself
 * and adds; `blobs` exchanges large random bytes in three rounds; `exit` ends with everything open; `hang` never speaks.
 */
import { createHash, randomBytes } from 'node:crypto';
import { connectCollective } from '../../src/collective/connect.js';
import { SideChannel } from '../../src/collective/sideChannel/sideChannel.js';
import { toFault } from '../../src/shared/errors.js';
import { LIMITS } from '../../src/shared/limits.js';

const [mode, rankText, sizeText, secret = ''] = process.argv.slice(2);
const [rank, worldSize] = [Number(rankText), Number(sizeText)];
const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);

const channel = new SideChannel();
try {
  if (mode === 'sum') await meetAndSum();
  else if (mode === 'blobs') await exchangeBlobs();
  else if (mode === 'exit') {
    void channel.allGather(Buffer.from('never answered'));
    say({ open: true });
    setTimeout(() => process.exit(7), 50);
  } else {
    say({ open: true });
    setInterval(() => undefined, 1_000);
  }
} catch (error) {
  say({ fault: toFault(error) });
}
if (mode === 'sum' || mode === 'blobs') channel.close();

async function meetAndSum(): Promise<void> {
  const collective = await connectCollective(
    { rank, worldSize, shape: 'mesh', secret: Buffer.from(secret, 'hex') },
    (blob, signal) => channel.allGather(blob, signal),
    { host: '127.0.0.1' },
  );
  const sum = Float32Array.of(rank, 1);
  await collective.allReduce(sum);
  await collective.barrier();
  say({ sum: [...sum] });
  await collective.close();
}

async function exchangeBlobs(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const blob = randomBytes(round === 0 ? LIMITS.sideChannelBlobBytes : 300 * round);
    say({ round, own: hash(blob) });
    const blobs = await channel.allGather(blob);
    say({ round, all: blobs.map(hash) });
  }
}

function hash(blob: Uint8Array): string {
  return createHash('sha256').update(blob).digest('hex');
}
