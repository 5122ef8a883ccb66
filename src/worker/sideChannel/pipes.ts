/**
 * The two named pipes of one runner's side channel, in a folder of their own that only this user can read. Node.js
 * makes no named pipes by itself; every system that has them has a command for it.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import { SIDE_CHANNEL_IN, SIDE_CHANNEL_OUT } from '../../shared/sideChannel/wire.js';

const run = promisify(execFile);

export interface Pipes {
  readonly folder: string;
  /** The runner writes to it. */
  readonly fromRunner: string;
  /** The runner reads from it. */
  readonly toRunner: string;
  /** For the runner's process. */
  readonly environment: Readonly<Record<string, string>>;
}

/**
 * @param parent made when it is missing
 * @throws {ShoalError} `sharding_unsupported` where there are no named pipes, such as on Windows
 */
export async function makePipes(parent: string): Promise<Pipes> {
  mkdirSync(parent, { recursive: true, mode: 0o700 });
  const folder = mkdtempSync(join(parent, 'runner-'));
  const [fromRunner, toRunner] = [join(folder, 'from-runner'), join(folder, 'to-runner')];
  try {
    await run('mkfifo', ['-m', '600', fromRunner, toRunner], { timeout: TIMES.sideChannelOpenMs });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    const reason = (error as Error).message;
    throw new ShoalError(
      'sharding_unsupported',
      `no named pipes can be made for the side channel: ${reason}`,
      {
        cause: error,
      },
    );
  }
  const environment = { [SIDE_CHANNEL_IN]: toRunner, [SIDE_CHANNEL_OUT]: fromRunner };
  return { folder, fromRunner, toRunner, environment };
}

export function removePipes({ folder }: Pipes): void {
  rmSync(folder, { recursive: true, force: true });
}

/** What an earlier life of the node has left: to be called before the first side channel is opened. */
export function removeLeftPipes(parent: string): void {
  rmSync(parent, { recursive: true, force: true });
}
