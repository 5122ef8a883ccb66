/**
 * A rank of a model over several processes, in its compute thread: loads its part, and is then either the first rank,
 * which schedules (`computer`), or one that follows (`stage`). Every rank does the same in the same order, and waits for
 * the others between loading, warming up and serving.
 */
import { BlockingCollective } from '../../collective/bridge/blockingCollective.js';
import { allocateBridge, type BridgeMemory } from '../../collective/bridge/layout.js';
import type { Engine } from '../../engine/contract.js';
import { openVocabulary } from '../../engine/llama/open.js';
import { openLlamaShard } from '../../engine/llama/shard/open.js';
import { selfTest } from '../../engine/selfTest/selfTest.js';
import { shardSelfTest } from '../../engine/selfTest/shardSelfTest.js';
import { getNumber } from '../../models/gguf/metadata.js';
import { architectureOf } from '../../models/sharding/legalCuts.js';
import { joinedHeader } from '../../models/splitFiles.js';
import { ShoalError } from '../../shared/errors.js';
import type { RunnerPart, RunnerSettings } from '../../shared/runnerProtocol.js';
import type { ServableModel } from '../generation/modelServer.js';
import { engineCapacity } from '../loadModel.js';
import { Drawer } from '../scheduler/drawer.js';
import type { SharedStatus } from '../sharedStatus.js';
import { warmUp } from '../warmUp.js';
import { drawnBytes } from './drawnFrame.js';
import { PipelineComputer } from './pipelineComputer.js';
import { FrameReceiver, FrameSender, waitFor } from './rankLinks.js';
import { Stage } from './stage.js';
import { frameBytes } from './stepFrame.js';

/** Beside the frames that are on their way: those received, a barrier, and one to spare. */
const SPARE_SLOTS = 4;

export interface RankComponents {
  readonly status: SharedStatus;
  /** Hands the bridge to the thread that has the links; before that no operation makes progress. */
  readonly onBridge: (memory: BridgeMemory) => void;
  /** Called while loading, with the share done, and while it waits for the others, with 1. False ends the load. */
  readonly onProgress: (fraction: number) => boolean;
}

/** Of the first rank; null of all others. */
interface Leader {
  readonly computer: PipelineComputer;
  readonly model: ServableModel;
}

export class Rank {
  readonly engine: Engine;
  readonly leader: Leader | null;
  readonly stage: Stage | null;
  readonly #ranks: BlockingCollective;
  readonly #components: RankComponents;

  /**
   * Loads, and waits until all ranks have loaded.
   * @throws {ShoalError} as loading does, `sharding_unsupported` when the shards do not compute what the whole model does,
   *   the fault that ended the links, or `cancelled`
   */
  constructor(settings: RunnerSettings, part: RunnerPart, components: RankComponents) {
    const { rank, worldSize, layers } = part;
    const { status } = components;
    this.#components = components;
    const capacity = engineCapacity(settings);
    const bytes = frameBytes(capacity.batchRows, hiddenSizeOf(settings.modelPath));
    const back = drawnBytes(settings.sequences);
    const isFirst = rank === 0;
    const isLast = rank === worldSize - 1;
    // The first rank has one frame on its way for each step under way, the others one while they write the next.
    const buffers = isFirst ? worldSize + 1 : 2;
    const memory = allocateBridge(buffers + SPARE_SLOTS, (buffers + 2) * (bytes + back));
    components.onBridge(memory);
    this.#ranks = new BlockingCollective(memory);
    selfTest();
    shardSelfTest({ modelPath: settings.modelPath, shards: layers });
    this.engine = openLlamaShard({
      ...capacity,
      modelPath: settings.modelPath,
      layers: layers[rank]!,
      onProgress: components.onProgress,
    });
    const next = new FrameSender(this.#ranks, status, {
      to: (rank + 1) % worldSize,
      bytes: isLast ? back : bytes,
      buffers,
    });
    const before = new FrameReceiver(this.#ranks, {
      from: (rank + worldSize - 1) % worldSize,
      bytes: isFirst ? back : bytes,
    });
    const canTruncate = this.#allCan(this.engine.canTruncate);
    if (!isFirst) {
      const drawer = isLast ? new Drawer(this.engine.shape.vocabularySize) : null;
      const onStep = (rows: number) => status.announceStep(null, rows);
      this.stage = new Stage({ engine: this.engine, before, next, drawer, onStep });
      this.leader = null;
      return;
    }
    this.stage = null;
    this.leader = {
      computer: new PipelineComputer({ engine: this.engine, next, last: before }, { worldSize, canTruncate }),
      model: openVocabulary(settings.modelPath),
    };
  }

  /** Computes one token on all ranks, and forgets it. @throws {ShoalError} `model_load_failed` when it gives no numbers */
  warmUp(): void {
    if (this.leader === null) this.#until(() => this.stage!.step());
    else warmUp(this.leader.computer, (isDone) => this.#until(isDone));
    waitFor(this.#ranks.barrier(null), this.#components.status);
  }

  close(): void {
    this.engine.close();
  }

  /** Resolves a question for all ranks: is it true on each? Waits until all have loaded. */
  #allCan(can: boolean): boolean {
    const { status, onProgress } = this.#components;
    const lacking = this.#ranks.allocateFloats(1);
    lacking[0] = can ? 0 : 1;
    waitFor(this.#ranks.allReduce(lacking, null), status, () => onProgress(1));
    return lacking[0] === 0;
  }

  #until(isDone: () => boolean): void {
    const { status } = this.#components;
    for (let rings = status.rings; !isDone(); rings = status.rings) {
      status.beat();
      if (status.isShutdownRequested) throw new ShoalError('cancelled', 'the runner is being stopped');
      status.sleep(rings, WARM_UP_BEAT_MS);
    }
  }
}

const WARM_UP_BEAT_MS = 100;

function hiddenSizeOf(modelPath: string): number {
  const header = joinedHeader(modelPath);
  const size = getNumber(header, `${architectureOf(header)}.embedding_length`);
  if (size !== null && size > 0) return size;
  throw new ShoalError('model_unsupported', 'The model file does not say how wide its hidden states are.');
}
