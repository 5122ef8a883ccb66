/** All ranks of a world in this process, over real connections on loopback. */
import { randomBytes } from 'node:crypto';
import type { TestContext } from 'node:test';
import { type CollectiveOptions, connectCollective, type ShapeName } from '../connect.js';
import type { Collective } from '../contract.js';
import { meetingOf } from './meeting.js';

export async function startWorld(
  context: TestContext,
  shape: ShapeName,
  worldSize: number,
  options: CollectiveOptions = {},
): Promise<readonly Collective[]> {
  const secret = randomBytes(32);
  const meet = meetingOf(worldSize);
  const names = Array.from({ length: worldSize }, (_, rank) => `node-${rank}`);
  const ranks = await Promise.all(
    names.map((_, rank) =>
      connectCollective({ rank, worldSize, shape, secret, names }, meet(rank), {
        host: '127.0.0.1',
        ...options,
      }),
    ),
  );
  context.after(() => Promise.all(ranks.map((collective) => collective.close())));
  return ranks;
}
