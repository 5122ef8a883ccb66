/** Real runner processes that are the ranks of one model; this process is their worker and their master. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InstanceId } from '../../src/shared/ids.js';
import type { RunnerPart, RunnerSettings } from '../../src/shared/runnerProtocol.js';
import { type Gather, SideChannelRelay } from '../../src/worker/sideChannel/relay.js';
import { GatheringMaster } from '../support/gatheringMaster.js';
import { RunnerClient } from './runnerClient.js';

const INSTANCE = 'instance' as InstanceId;

export interface RankPlan {
  readonly modelPath: string;
  readonly sharding?: RunnerPart['sharding'];
  readonly transport?: RunnerPart['transport'];
  /** By rank, layers [first, end). */
  readonly layers: RunnerPart['layers'];
  readonly settings?: Partial<RunnerSettings>;
  /** What the ranks are told of where each can be reached. @default what they say themselves */
  readonly reroute?: (blobs: readonly Uint8Array[]) => Promise<readonly Uint8Array[]>;
}

export class RankWorld {
  readonly runners: readonly RunnerClient[];
  readonly #relays: readonly SideChannelRelay[];
  readonly #folder: string;

  private constructor(folder: string, relays: readonly SideChannelRelay[]) {
    this.#folder = folder;
    this.#relays = relays;
    this.runners = relays.map(({ environment }) => new RunnerClient(environment));
  }

  /** Starts the processes and tells them what to load. */
  static async start(plan: RankPlan): Promise<RankWorld> {
    const { sharding = 'Pipeline', transport = 'Ring', layers } = plan;
    const folder = mkdtempSync(join(tmpdir(), 'shoal-ranks-'));
    const gather = rerouted(new GatheringMaster().gatherOf(layers.length), plan.reroute);
    const relays: SideChannelRelay[] = [];
    for (const rank of layers.keys()) {
      const components = { instanceId: INSTANCE, rank, gather, onFailed: () => undefined };
      relays.push(await SideChannelRelay.open(components, { folder }));
    }
    const world = new RankWorld(folder, relays);
    const names = layers.map((_, rank) => `node-${rank}`);
    const common = { worldSize: layers.length, sharding, transport, layers, names, secret: randomBytes(32) };
    for (const [rank, runner] of world.runners.entries()) {
      runner.load(plan.modelPath, { ...plan.settings, part: { rank, ...common } });
    }
    return world;
  }

  /** The rank that takes requests. */
  get leader(): RunnerClient {
    return this.runners[0]!;
  }

  async ready(): Promise<void> {
    await Promise.all(this.runners.map((runner) => runner.ready()));
  }

  /** Harmless when the processes have ended. */
  async stop(): Promise<void> {
    await Promise.all(this.runners.map((runner) => runner.stop()));
    for (const relay of this.#relays) relay.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Layers of equal shards, as far as they can be equal. */
export function evenLayers(layerCount: number, worldSize: number): RunnerPart['layers'] {
  const cut = (rank: number) => Math.round((rank * layerCount) / worldSize);
  return Array.from({ length: worldSize }, (_, rank) => ({ first: cut(rank), end: cut(rank + 1) }));
}

/** All ranks are told the same, which is made once. */
function rerouted(gather: Gather, reroute: RankPlan['reroute']): Gather {
  if (reroute === undefined) return gather;
  let told: Promise<readonly Uint8Array[]> | null = null;
  return async (...parameters) => {
    const blobs = await gather(...parameters);
    told ??= reroute(blobs);
    return told;
  };
}
