/** Runs commands of the program, each in a process of its own that is always ended. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../src/cli/main.js', import.meta.url));
const COMMAND_LIMIT_MS = 30_000;
const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 15_000;

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A command to its end. */
export async function shoal(
  parameters: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const child = start(parameters, environment);
  const limit = setTimeout(() => child.kill('SIGKILL'), COMMAND_LIMIT_MS);
  let [stdout, stderr] = ['', ''];
  child.stdout?.setEncoding('utf8').on('data', (text) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text) => (stderr += text));
  const [code] = (await once(child, 'close')) as [number | null];
  clearTimeout(limit);
  return { code, stdout, stderr };
}

export interface Listening {
  readonly node_id: string;
  readonly api_url: string | null;
  readonly peer_address: string | null;
}

/** A node that stays up until it is stopped. */
export class Node {
  readonly child: ChildProcess;
  readonly told: Listening;

  private constructor(child: ChildProcess, told: Listening) {
    this.child = child;
    this.told = told;
  }

  get url(): string {
    return this.told.api_url ?? '';
  }

  /** `up` or `join` with its parameters. Rejects when the node does not say in time where it is. */
  static async start(...parameters: readonly string[]): Promise<Node> {
    const child = start([...parameters, '--log-json'], {});
    const errors: string[] = [];
    child.stderr?.setEncoding('utf8').on('data', (text) => errors.push(text));
    const limit = setTimeout(() => child.kill('SIGKILL'), START_LIMIT_MS);
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const line = await Promise.race([once(lines, 'line'), once(child, 'close').then(() => null)]);
    clearTimeout(limit);
    if (line === null) throw new Error(`the node ended before it listened: ${errors.join('')}`);
    return new Node(child, JSON.parse(String(line[0])) as Listening);
  }

  /** SIGTERM, and SIGKILL when that is not enough. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    const limit = setTimeout(() => this.child.kill('SIGKILL'), STOP_LIMIT_MS);
    await once(this.child, 'exit');
    clearTimeout(limit);
  }
}

/** What it finds in the environment of the tests does not count. Whoever starts it ends it. */
export function start(
  parameters: readonly string[],
  environment: Readonly<Record<string, string>>,
): ChildProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('SHOAL_'));
  return spawn(process.execPath, [PROGRAM, ...parameters], {
    env: { ...Object.fromEntries(inherited), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}
