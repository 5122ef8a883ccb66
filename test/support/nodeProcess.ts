/** A real node in a process of its own, for tests and benchmarks: started, watched, and always ended. */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { packageRoot } from '../../src/shared/packageRoot.js';

const START_LIMIT_MS = 60_000;
const STOP_LIMIT_MS = 15_000;

/** Where a program can be started: on this machine, or in a host of its own (`hosts.ts`). */
export interface Place {
  spawn(command: string, parameters: readonly string[], options: SpawnOptions): ChildProcess;
  /** Makes an HTTP address on the place's loopback one that this process can use. */
  reach(url: string): Promise<string>;
}

/** This machine itself. */
export const HERE: Place = {
  spawn: (command, parameters, options) => spawn(command, [...parameters], options),
  reach: (url) => Promise.resolve(url),
};

export interface NodeState {
  readonly master_node_id: string | null;
  readonly nodes: Record<string, { readonly name: string; readonly status: string }>;
  readonly runners: Record<string, RunnerState>;
  readonly tasks: Record<string, { readonly status: string; readonly command_id: string }>;
  readonly instances: Record<
    string,
    { readonly status: string; readonly shards: readonly { readonly node_id: string }[] }
  >;
}

export interface RunnerState {
  readonly node_id: string;
  readonly pid: number | null;
  readonly status: string;
  readonly restarts: number;
  readonly load?: {
    readonly used_cells: number;
    readonly prefix_cache_cells: number;
    readonly running_sequences: number;
    readonly queued_requests: number;
    readonly resident_bytes: number;
  } | null;
  readonly error?: { readonly message: string; readonly signal?: string };
}

export class NodeProcess {
  readonly url: string;
  readonly nodeId: string;
  /** `HOST:PORT` where other nodes reach it. */
  readonly peerAddress: string;
  readonly home: string;
  readonly child: ChildProcess;
  readonly exited: Promise<number | string>;
  readonly #log: string[];

  private constructor(url: string, first: FirstLine, home: string, child: ChildProcess, log: string[]) {
    this.url = url;
    this.nodeId = first.node_id;
    this.peerAddress = first.peer_address;
    this.home = home;
    this.child = child;
    this.#log = log;
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => resolve(code ?? signal ?? -1));
    });
  }

  /** Starts `shoal up` on a free port with a home of its own. Rejects when it does not listen in time. */
  static start(...parameters: readonly string[]): Promise<NodeProcess> {
    return NodeProcess.startAt(HERE, ...parameters);
  }

  /** The same in another place, such as a host; `url` leads there. */
  static startAt(place: Place, ...parameters: readonly string[]): Promise<NodeProcess> {
    return NodeProcess.#startIn(mkdtempSync(join(tmpdir(), 'shoal-home-')), place, parameters);
  }

  /** Starts the node of an earlier process once more; that one has ended, and its home is still there. */
  static startAgain(
    earlier: NodeProcess,
    place: Place,
    ...parameters: readonly string[]
  ): Promise<NodeProcess> {
    return NodeProcess.#startIn(earlier.home, place, parameters);
  }

  static async #startIn(home: string, place: Place, parameters: readonly string[]): Promise<NodeProcess> {
    const program = join(packageRoot(), 'bin', 'shoal.js');
    const fixed = ['up', '--home', home, '--api-port', '0', '--log-json', '--log-level', 'info'];
    // A second of all cores for each node would be much of what the tests take; `--benchmark` has it after all.
    fixed.push('--no-benchmark');
    const child = place.spawn(process.execPath, [program, ...fixed, ...parameters], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const log: string[] = [];
    createInterface({ input: child.stderr as NodeJS.ReadableStream }).on('line', (line) => {
      log.push(line);
      if (log.length > 1_000) log.shift();
    });
    try {
      const first = await firstLine(child);
      return new NodeProcess(await place.reach(first.api_url), first, home, child, log);
    } catch (error) {
      child.kill('SIGKILL');
      rmSync(home, { recursive: true, force: true });
      throw new Error(`${(error as Error).message}\n${log.join('\n')}`);
    }
  }

  log(): string {
    return this.#log.join('\n');
  }

  async state(): Promise<NodeState> {
    return (await (await fetch(`${this.url}/state`)).json()) as NodeState;
  }

  /** The only runner. */
  async runner(): Promise<RunnerState> {
    const [runner] = Object.values((await this.state()).runners);
    if (runner === undefined) throw new Error('the node has no runner');
    return runner;
  }

  /** Looks at the state until it is as wanted; the error says what it was instead. */
  async until(
    what: string,
    isSo: (state: NodeState) => boolean,
    limitMs = START_LIMIT_MS,
  ): Promise<NodeState> {
    const since = Date.now();
    for (;;) {
      const state = await this.state();
      if (isSo(state)) return state;
      if (Date.now() > since + limitMs) {
        throw new Error(`not ${what} after ${limitMs} ms: ${JSON.stringify(state)}\n${this.log()}`);
      }
      await lookAgain(since);
    }
  }

  /** Waits until there is a runner, and all there are can serve. */
  ready(): Promise<NodeState> {
    const isReady = (status: string) => status === 'ready' || status === 'running';
    return this.until('ready', ({ runners }) => {
      const statuses = Object.values(runners).map(({ status }) => status);
      return statuses.length > 0 && statuses.every(isReady);
    });
  }

  /** SIGTERM, and SIGKILL when that is not enough. Resolves with the exit code or the signal's name. */
  async end(): Promise<number | string> {
    this.child.kill('SIGTERM');
    const timer = setTimeout(() => this.child.kill('SIGKILL'), STOP_LIMIT_MS);
    const code = await this.exited;
    clearTimeout(timer);
    return code;
  }

  /** The same, and its home is gone. */
  async stop(): Promise<number | string> {
    const code = await this.end();
    rmSync(this.home, { recursive: true, force: true });
    return code;
  }
}

interface FirstLine {
  readonly event: string;
  readonly node_id: string;
  readonly api_url: string;
  readonly peer_address: string;
}

function firstLine(child: ChildProcess): Promise<FirstLine> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`no address after ${START_LIMIT_MS} ms`)),
      START_LIMIT_MS,
    );
    child.once('exit', (code) => {
      clearTimeout(timer);
      reject(new Error(`the node ended with ${code} before it listened`));
    });
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).once('line', (line) => {
      clearTimeout(timer);
      const first = JSON.parse(line) as FirstLine;
      if (first.event === 'listening') resolve(first);
      else reject(new Error(`the first line was not the address: ${line}`));
    });
  });
}

const SHARE_OF_WAIT = 0.1;
const SHORTEST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 100;

/**
 * The pause between two looks at a state. What does not come soon is looked for less often: a node that is asked all the
 * time, and whoever asks it, would compute for as long as the test waits.
 * @param since when the first look was, in milliseconds since the epoch
 */
export function lookAgain(since: number): Promise<void> {
  const pauseMs = Math.max(SHORTEST_PAUSE_MS, (Date.now() - since) * SHARE_OF_WAIT);
  return new Promise((resolve) => setTimeout(resolve, Math.min(pauseMs, LONGEST_PAUSE_MS)));
}

/** One that has ended is not alive, also while its parent, which may be stopped, has not heard of it. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
