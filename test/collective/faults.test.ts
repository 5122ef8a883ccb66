/** What the ranks of a model make of the death, the freeze and the cut link of one of them, each a real process. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pack, unpack } from 'msgpackr';
import type { ShapeName } from '../../src/collective/connect.js';
import type { Fault } from '../../src/shared/errors.js';
import { Lines } from '../support/lines.js';
import type { ChildSettings, Work } from './rankChild.js';

const CHILD = fileURLToPath(new URL('./rankChild.js', import.meta.url));
const LIMIT = { timeout: 120_000 };
const WORLD_SIZE = 4;
const DEADLINE_MS = 1_500;

interface Rank {
  readonly rank: number;
  readonly child: ChildProcess;
  readonly lines: Lines;
}

interface Ended {
  readonly fault: Fault;
  readonly endedWith: Fault | undefined;
}

async function spawnRanks(context: TestContext, shape: ShapeName, work: Work): Promise<readonly Rank[]> {
  const secret = randomBytes(32).toString('hex');
  return Array.from({ length: WORLD_SIZE }, (_, rank): Rank => {
    const settings: ChildSettings = {
      rank,
      worldSize: WORLD_SIZE,
      shape,
      secret,
      work,
      deadlineMs: DEADLINE_MS,
    };
    const child = spawn(process.execPath, [CHILD, JSON.stringify(settings)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    context.after(() => child.kill('SIGKILL'));
    child.stdin!.on('error', () => undefined);
    return { rank, child, lines: new Lines(child) };
  });
}

async function blobsOf(ranks: readonly Rank[]): Promise<string[]> {
  return await Promise.all(
    ranks.map(async ({ lines }) => {
      const line = await lines.until('endpoint', (text) => text.includes('"blob"'));
      return (JSON.parse(line) as { blob: string }).blob;
    }),
  );
}

function tell({ child }: Rank, blobs: readonly string[]): void {
  child.stdin!.write(`${JSON.stringify(blobs)}\n`);
}

/** All ranks, linked and at work. @param rewrite what a rank is told of the endpoints */
async function startRanks(
  context: TestContext,
  shape: ShapeName,
  work: Work,
  rewrite: (blobs: readonly string[], rank: number) => readonly string[] = (blobs) => blobs,
): Promise<readonly Rank[]> {
  const ranks = await spawnRanks(context, shape, work);
  const blobs = await blobsOf(ranks);
  for (const rank of ranks) tell(rank, rewrite(blobs, rank.rank));
  await Promise.all(ranks.map(({ lines }) => lines.until('work', (text) => text.includes('"working"'))));
  return ranks;
}

/** How a rank's collective ended; its process has ended by itself then. */
async function endOf({ child, lines }: Rank): Promise<Ended> {
  const line = await lines.until('end', (text) => text.includes('"fault"'));
  if (child.exitCode === null) await once(child, 'exit');
  assert.equal(child.exitCode, 0);
  return JSON.parse(line) as Ended;
}

const CASES = (['mesh', 'ring'] as const).flatMap((shape) =>
  (['sum', 'pass', 'wait'] as const)
    .filter((work) => shape === 'ring' || work !== 'pass')
    .map((work) => ({ shape, work })),
);

// Each has ranks of its own, and waits for deadlines most of the time.
describe('faults of ranks', { concurrency: 2 }, () => {
  for (const { shape, work } of CASES) {
    test(
      `R7: ${shape}, ${work}: the death of any rank ends all others, which name it`,
      LIMIT,
      async (context) => {
        for (let victim = 0; victim < WORLD_SIZE; victim += 1) {
          const ranks = await startRanks(context, shape, work);
          ranks[victim]!.child.kill('SIGKILL');
          for (const survivor of ranks.filter(({ rank }) => rank !== victim)) {
            const { fault, endedWith } = await endOf(survivor);
            assert.equal(fault.code, 'node_lost');
            assert.deepEqual(fault.details, { rank: victim, node: `node-${victim}` });
            assert.deepEqual(endedWith?.details, fault.details);
          }
        }
      },
    );
  }

  for (const { shape, work } of CASES.filter(({ work }) => work !== 'wait')) {
    test(
      `R7: ${shape}, ${work}: a frozen rank ends all others by their deadline, which name it; awake again it ends too`,
      LIMIT,
      async (context) => {
        const frozen = async (victim: number) => {
          const ranks = await startRanks(context, shape, work);
          ranks[victim]!.child.kill('SIGSTOP');
          const survivors = ranks.filter(({ rank }) => rank !== victim);
          for (const { fault } of await Promise.all(survivors.map(endOf))) {
            assert.equal(fault.code, 'deadline_exceeded');
            assert.deepEqual(fault.details, { rank: victim, node: `node-${victim}` });
          }
          ranks[victim]!.child.kill('SIGCONT');
          await endOf(ranks[victim]!);
        };
        await Promise.all([0, 2].map(frozen));
      },
    );
  }

  for (const kind of ['closed', 'silent'] as const) {
    test(
      `a link that is ${kind} while both ends live ends all ranks, which name one of its ends`,
      LIMIT,
      async (context) => {
        for (const shape of ['mesh', 'ring'] as const) {
          const cable = new Cable();
          context.after(() => cable.close());
          const ports = new Map<string, number>();
          const rewrite = (blobs: readonly string[], rank: number) => {
            if (rank !== 0) return blobs;
            const endpoint = unpack(Buffer.from(blobs[1]!, 'hex')) as { port: number };
            const through = pack({ ...endpoint, port: ports.get('cable')! });
            cable.leadTo(endpoint.port);
            return [blobs[0]!, Buffer.from(through).toString('hex'), ...blobs.slice(2)];
          };
          ports.set('cable', await cable.open());
          const ranks = await startRanks(context, shape, 'sum', rewrite);
          if (kind === 'closed') cable.cut();
          else cable.hush();
          for (const { fault } of await Promise.all(ranks.map(endOf))) {
            assert.equal(fault.code, kind === 'closed' ? 'node_lost' : 'deadline_exceeded');
            assert.ok([0, 1].includes(fault.details?.rank as number), JSON.stringify(fault));
          }
          await cable.close();
        }
      },
    );
  }

  test(
    'R7: a rank that dies before it is linked ends the meeting of its neighbours, which name it',
    LIMIT,
    async (context) => {
      const ranks = await spawnRanks(context, 'mesh', 'sum');
      const blobs = await blobsOf(ranks);
      ranks[3]!.child.kill('SIGKILL');
      await once(ranks[3]!.child, 'exit');
      const survivors = ranks.slice(0, 3);
      for (const rank of survivors) tell(rank, blobs);
      for (const { fault } of await Promise.all(survivors.map(endOf))) {
        assert.equal(fault.code, 'node_lost');
        assert.deepEqual(fault.details, { rank: 3, node: 'node-3' });
      }
    },
  );
});

/** A way to one rank that a test can cut. */
class Cable {
  readonly #server = createServer((near) => this.#join(near));
  readonly #sockets = new Set<Socket>();
  #port = 0;

  async open(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as { port: number }).port;
  }

  leadTo(port: number): void {
    this.#port = port;
  }

  /** Both ends see that the connection is closed. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Nothing arrives any more, and nobody is told. */
  hush(): void {
    for (const socket of this.#sockets) socket.pause();
  }

  async close(): Promise<void> {
    this.cut();
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(near: Socket): void {
    const far = connect(this.#port, '127.0.0.1');
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.setNoDelay(true);
      from.on('data', (chunk) => to.write(chunk));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
  }
}
