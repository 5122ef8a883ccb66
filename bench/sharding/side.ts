/** A model in one runner process, or over several, that is asked for tokens. */
import { execFileSync } from 'node:child_process';
import { decodeEndpoint, encodeEndpoint } from '../../src/collective/connect/endpoint.js';
import { type RankPlan, RankWorld } from '../../test/runner/rankWorld.js';
import { RunnerClient } from '../../test/runner/runnerClient.js';
import { type Cable, DelayingProxy } from './delayingProxy.js';
import { busiestMs, threadTimesMs } from './processorTime.js';

const TOKENS = 48;
/** Of an answer, until the others have begun and the first steps are over. */
const LEAD_TOKENS = 8;
const SETTINGS = {
  contextTokens: 512,
  sequences: 8,
  cacheCells: 4_096,
  prefillChunkTokens: 256,
  threads: 1,
} as const;

export interface SidePlan extends Pick<RankPlan, 'modelPath'> {
  readonly sharding: 'Pipeline' | 'Tensor';
  /** By rank; null for a whole model in one process. */
  readonly layers: RankPlan['layers'] | null;
  readonly cable?: Cable;
}

export interface Measured {
  /** Of all sequences together, while all of them decode. */
  readonly tokensPerSecond: number;
  /** By rank: processor time of the computing thread over the time that passed. */
  readonly busyShares: readonly number[];
  /** Over the cable, where there is one. */
  readonly bytesPerToken: number;
  readonly messagesPerToken: number;
}

export class Side {
  readonly runners: readonly RunnerClient[];
  readonly proxies: readonly DelayingProxy[];
  readonly #stop: () => Promise<void>;

  private constructor(
    runners: readonly RunnerClient[],
    proxies: readonly DelayingProxy[],
    stop: () => Promise<void>,
  ) {
    this.runners = runners;
    this.proxies = proxies;
    this.#stop = stop;
  }

  static async start({ modelPath, sharding, layers, cable }: SidePlan): Promise<Side> {
    if (layers === null) {
      const runner = new RunnerClient();
      runner.load(modelPath, SETTINGS);
      await runner.ready();
      return new Side([runner], [], () => runner.stop()).onOneCoreEach();
    }
    const proxies: DelayingProxy[] = [];
    const reroute = async (blobs: readonly Uint8Array[]): Promise<readonly Uint8Array[]> => {
      if (cable === undefined) return blobs;
      return Promise.all(
        blobs.map(async (blob, rank) => {
          const proxy = await DelayingProxy.start(decodeEndpoint(blob, rank).port, cable);
          proxies.push(proxy);
          return encodeEndpoint({ rank, addresses: ['127.0.0.1'], port: proxy.port });
        }),
      );
    };
    const world = await RankWorld.start({ modelPath, sharding, layers, settings: SETTINGS, reroute });
    await world.ready();
    return new Side(world.runners, proxies, () => world.stop()).onOneCoreEach();
  }

  /**
   * Each rank stands for a machine of one core. Left to itself, Linux draws ranks that wake each other onto the same one,
   * and leaves the other idle.
   */
  private onOneCoreEach(): this {
    for (const [rank, { child }] of this.runners.entries()) {
      execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(rank), String(child.pid)]);
    }
    return this;
  }

  async stop(): Promise<void> {
    await this.#stop();
    for (const proxy of this.proxies) proxy.close();
  }
}

/** @param sequences side by side */
export async function measure({ runners, proxies }: Side, sequences: number): Promise<Measured> {
  const [first] = runners;
  const counts = new Array<number>(sequences).fill(0);
  const look = () => ({
    atMs: performance.now(),
    tokens: counts.reduce((sum, count) => sum + count, 0),
    threads: runners.map(({ child }) => threadTimesMs(child.pid!)),
    bytes: proxies.reduce((sum, { totals }) => sum + totals.bytes, 0),
    messages: proxies.reduce((sum, { totals }) => sum + totals.chunks, 0),
  });
  let start: ReturnType<typeof look> | null = null;
  let end: ReturnType<typeof look> | null = null;
  const answers = counts.map((_, index) => {
    const request = {
      input: { kind: 'text', text: `sequence ${index} begins` },
      sampling: { seed: index, temperature: 0 },
      maxTokens: TOKENS,
      ignoreEos: true,
    } as const;
    return first!.generate(request, (event) => {
      if (event.kind !== 'delta') return;
      counts[index]! += event.tokens.length;
      if (start === null && counts.every((count) => count >= LEAD_TOKENS)) start = look();
      if (end === null && counts[index]! >= TOKENS) end = look();
    }).ended;
  });
  for (const answer of await Promise.all(answers)) {
    if (answer.fault !== null) throw new Error(answer.fault.message);
  }
  const [before, after] = [start ?? look(), end ?? look()];
  const ms = after.atMs - before.atMs;
  const tokens = after.tokens - before.tokens;
  return {
    tokensPerSecond: (1e3 * tokens) / ms,
    busyShares: runners.map((_, rank) => busiestMs(before.threads[rank]!, after.threads[rank]!) / ms),
    bytesPerToken: (after.bytes - before.bytes) / tokens,
    messagesPerToken: (after.messages - before.messages) / tokens,
  };
}
