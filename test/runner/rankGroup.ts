/** Real runner processes that are the ranks of one model, with their side channels, for tests and benchmarks. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Fault } from '../../src/shared/errors.js';
import type { InstanceId } from '../../src/shared/ids.js';
import type { RunnerPart, RunnerSettings } from '../../src/shared/runnerProtocol.js';
import { type Gather, SideChannelRelay } from '../../src/worker/sideChannel/relay.js';
import { GatheringMaster } from '../support/gatheringMaster.js';
import { RunnerClient } from './runnerClient.js';

const INSTANCE = 'instance' as InstanceId;

export interface GroupPlan {
  readonly modelPath: string;
  /** Layers before which it is cut. */
  readonly cuts: readonly number[];
  readonly layers: number;
  /** @default 'Pipeline' */
  readonly sharding?: RunnerPart['sharding'];
  /** @default 'Ring' */
  readonly transport?: RunnerPart['transport'];
  /** What the ranks are told of where each can be reached. @default what they say themselves */
  readonly reroute?: (blobs: readonly Uint8Array[]) => Promise<readonly Uint8Array[]>;
  readonly settings?: Partial<RunnerSettings>;
}

export class RankGroup {
  readonly runners: readonly RunnerClient[];
  readonly faults: Fault[] = [];
  readonly #relays: readonly SideChannelRelay[];
  readonly #folder: string;

  private constructor(folder: string, relays: readonly SideChannelRelay[]) {
    this.#folder = folder;
    this.#relays = relays;
    this.runners = relays.map(({ environment }) => new RunnerClient(environment));
  }

  /** Starts all ranks; they are not ready yet. */
  static async start(plan: GroupPlan): Promise<RankGroup> {
    const { modelPath, cuts, layers: end, sharding = 'Pipeline', transport = 'Ring', settings = {} } = plan;
    const edges = [0, ...cuts, end];
    const parts = edges.slice(1).map((edge, index) => ({ first: edges[index]!, end: edge }));
    // A slice has a part of every layer.
    const layers = sharding === 'Pipeline' ? parts : parts.map(() => ({ first: 0, end }));
    const worldSize = layers.length;
    const folder = mkdtempSync(join(tmpdir(), 'shoal-ranks-'));
    const gather = rerouted(new GatheringMaster().gatherOf(worldSize), plan.reroute);
    const faults: Fault[] = [];
    const relays = await Promise.all(
      layers.map((_, rank) =>
        SideChannelRelay.open(
          { instanceId: INSTANCE, rank, gather, onFailed: (fault) => faults.push(fault) },
          { folder },
        ),
      ),
    );
    const group = new RankGroup(folder, relays);
    const common = { worldSize, layers, transport, sharding, secret: randomBytes(32) } as const;
    const names = layers.map((_, rank) => `node ${rank}`);
    for (const [rank, runner] of group.runners.entries()) {
      runner.load(modelPath, { ...settings, part: { ...common, rank, names } });
    }
    return group;
  }

  /** The rank that takes requests. */
  get first(): RunnerClient {
    return this.runners[0]!;
  }

  async ready(): Promise<void> {
    await Promise.all(this.runners.map((runner) => runner.ready()));
  }

  /** Harmless when processes have ended. */
  async stop(): Promise<void> {
    await Promise.all(this.runners.map((runner) => runner.stop()));
    for (const relay of this.#relays) relay.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** All ranks are told the same, which is made once. */
function rerouted(gather: Gather, reroute: GroupPlan['reroute']): Gather {
  if (reroute === undefined) return gather;
  let told: Promise<readonly Uint8Array[]> | null = null;
  return async (...parameters) => {
    const blobs = await gather(...parameters);
    told ??= reroute(blobs);
    return told;
  };
}
