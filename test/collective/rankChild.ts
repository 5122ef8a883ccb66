/**
 * One rank in a process of its own: `rankChild.js SETTINGS`. Tells its endpoint and gets those of all over stdout and
 * stdin, one JSON line each; then works as it was told to, says how its collective ended, and ends.
 */
import { createInterface } from 'node:readline';
import { connectCollective, type ShapeName } from '../../src/collective/connect.js';
import type { Collective } from '../../src/collective/contract.js';
import { toFault } from '../../src/shared/errors.js';

/** `sum` adds again and again, `pass` hands tensors around a ring, `wait` waits for a tensor that never comes. */
export type Work = 'sum' | 'pass' | 'wait';

export interface ChildSettings {
  readonly rank: number;
  readonly worldSize: number;
  readonly shape: ShapeName;
  readonly secret: string;
  readonly work: Work;
  readonly deadlineMs: number;
}

const settings = JSON.parse(process.argv[2]!) as ChildSettings;
const { rank, worldSize, shape, work, deadlineMs } = settings;
const lines = createInterface({ input: process.stdin });

const say = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`);

let collective: Collective | null = null;
try {
  collective = await connectCollective(
    {
      rank,
      worldSize,
      shape,
      secret: Buffer.from(settings.secret, 'hex'),
      names: Array.from({ length: worldSize }, (_, index) => `node-${index}`),
    },
    (blob) => {
      say({ blob: Buffer.from(blob).toString('hex') });
      return new Promise((resolve) => {
        lines.once('line', (line) => {
          resolve((JSON.parse(line) as string[]).map((text) => Buffer.from(text, 'hex')));
        });
      });
    },
    { host: '127.0.0.1', operationMs: deadlineMs, connectMs: 10_000 },
  );
  say({ ready: true });
  for (let round = 0; ; round += 1) {
    await workOn(collective);
    if (round === 20) say({ working: true });
  }
} catch (error) {
  say({ fault: toFault(error), endedWith: await collective?.ended });
}
await collective?.close();
lines.close();
process.stdin.destroy();

async function workOn(ranks: Collective): Promise<void> {
  if (work === 'wait') {
    say({ working: true });
    await ranks.receive(ranks.neighbours[0]!, { deadlineMs: null });
    return;
  }
  if (work === 'sum') {
    const sum = new Float32Array(2_048).fill(rank);
    await ranks.allReduce(sum);
    if (sum[2_047] !== (worldSize * (worldSize - 1)) / 2) throw new Error('a wrong sum');
    return;
  }
  const tensor = new Uint8Array(16_384).fill(rank);
  const from = (rank + worldSize - 1) % worldSize;
  const [, received] = await Promise.all([
    ranks.send((rank + 1) % worldSize, 1, [tensor]),
    ranks.receive(from),
  ]);
  if (received.bytes[16_383] !== from) throw new Error('a wrong tensor');
}
