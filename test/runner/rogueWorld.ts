/** Real runner processes that are the ranks of one model, but for one rank, which is this process and says what it likes. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectCollective } from '../../src/collective/connect.js';
import type { Collective } from '../../src/collective/contract.js';
import type { InstanceId } from '../../src/shared/ids.js';
import type { RunnerPart } from '../../src/shared/runnerProtocol.js';
import { SideChannelRelay } from '../../src/worker/sideChannel/relay.js';
import { GatheringMaster } from '../support/gatheringMaster.js';
import { RunnerClient } from './runnerClient.js';

const INSTANCE = 'instance' as InstanceId;
const ROUND = 0;

export interface RoguePlan {
  readonly modelPath: string;
  readonly sharding: RunnerPart['sharding'];
  /** By rank, layers [first, end). */
  readonly layers: RunnerPart['layers'];
  /** The rank that is this process. */
  readonly rogue: number;
}

export class RogueWorld {
  /** In the order of their ranks. */
  readonly honest: readonly RunnerClient[];
  /** The links of the rogue, which it has by right: it knows the secret. */
  readonly rogue: Collective;
  readonly #relays: readonly SideChannelRelay[];
  readonly #folder: string;

  private constructor(
    honest: readonly RunnerClient[],
    rogue: Collective,
    relays: readonly SideChannelRelay[],
    folder: string,
  ) {
    this.honest = honest;
    this.rogue = rogue;
    this.#relays = relays;
    this.#folder = folder;
  }

  /** Resolves when all ranks are linked. */
  static async start({ modelPath, sharding, layers, rogue }: RoguePlan): Promise<RogueWorld> {
    const worldSize = layers.length;
    const folder = mkdtempSync(join(tmpdir(), 'shoal-rogue-'));
    const gather = new GatheringMaster().gatherOf(worldSize);
    const names = layers.map((_, rank) => (rank === rogue ? 'rogue' : `node-${rank}`));
    const common = { worldSize, names, secret: randomBytes(32) };
    const relays: SideChannelRelay[] = [];
    const honest: RunnerClient[] = [];
    for (const rank of layers.keys()) {
      if (rank === rogue) continue;
      const components = { instanceId: INSTANCE, rank, gather, onFailed: () => undefined };
      const relay = await SideChannelRelay.open(components, { folder });
      const runner = new RunnerClient(relay.environment);
      runner.load(modelPath, { part: { rank, sharding, transport: 'Mesh', layers, ...common } });
      relays.push(relay);
      honest.push(runner);
    }
    const links = await connectCollective({ rank: rogue, shape: 'mesh', ...common }, (blob, signal) =>
      gather(INSTANCE, ROUND, rogue, blob, signal),
    );
    return new RogueWorld(honest, links, relays, folder);
  }

  async stop(): Promise<void> {
    await Promise.all(this.honest.map((runner) => runner.stop()));
    await this.rogue.close();
    for (const relay of this.#relays) relay.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
