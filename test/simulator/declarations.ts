/** People who declare what shall run, change their minds, ask twice, and ask for what does not fit, or never will. */
import type { ModelShape } from '../../src/control/placement/types.js';
import type { MetaInstanceWish } from '../../src/control/state.js';
import { metaInstanceWish, modelShape } from '../../src/control/testing.js';
import type { ModelId, NodeId } from '../../src/shared/ids.js';
import type { Process } from './machine.js';
import type { Random } from './random.js';
import type { World } from './world.js';

const LAYERS = 8;
/** Weights of each model: several fit on a machine, one does, it takes two, none can ever hold it. */
const MODEL_BYTES = [3e9, 9e9, 22e9, 400e9] as const;
const MOST_DECLARED = 6;

export const MODEL_SHAPES: ReadonlyMap<ModelId, ModelShape> = new Map(
  MODEL_BYTES.map((bytes, at) => {
    const modelId = `m${at + 1}` as ModelId;
    return [modelId, modelShape(modelId, bytes / LAYERS)];
  }),
);

export class Declarer {
  readonly #world: World;
  readonly #random: Random;
  #count = 0;
  #last: MetaInstanceWish | null = null;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  start(): void {
    const { plan, time, user } = this.#world;
    if (plan.declarations === null) return;
    time.after(this.#random.exponential(plan.declarations.everyMs), () => {
      if (user.isActive) this.#act();
      this.start();
    });
  }

  #act(): void {
    const process = this.#random.pick(this.#world.processes);
    if (process === undefined) return;
    const draw = this.#random.next();
    const known = this.#random.pick([...process.core.state.metaInstances.keys()]);
    if (draw < 0.5) this.#declare(process);
    else if (draw < 0.6 && this.#last !== null) this.#send(process, this.#last);
    else if (draw < 0.8 && known !== undefined)
      this.#world.user.command(process, { kind: 'DeleteMetaInstance', metaInstanceId: known });
    else if (known !== undefined)
      this.#world.user.command(process, { kind: 'RetryMetaInstance', metaInstanceId: known });
  }

  #declare(process: Process): void {
    const { state } = process.core;
    if (state.metaInstances.size >= MOST_DECLARED) return;
    this.#count += 1;
    const nodeIds = this.#random.shuffled([...state.nodes.keys(), ...this.#somebodyUnknown()]);
    this.#last = metaInstanceWish(`w${this.#count}`, {
      modelId: this.#random.pick(
        this.#random.chance(0.9) ? this.#ordinary() : [...MODEL_SHAPES.keys()],
      ) as ModelId,
      minNodes: this.#random.chance(0.2) ? this.#random.integer(2, 3) : null,
      nodeIds: this.#random.chance(0.2) ? nodeIds.slice(0, this.#random.integer(1, 2)) : null,
    });
    this.#send(process, this.#last);
  }

  #somebodyUnknown(): NodeId[] {
    return this.#random.chance(0.1) ? ['nobody' as NodeId] : [];
  }

  /** Those that people also ask for and make by hand. */
  #ordinary(): ModelId[] {
    return [...MODEL_SHAPES.keys()].slice(0, this.#world.plan.models);
  }

  #send(process: Process, metaInstance: MetaInstanceWish): void {
    const shape = MODEL_SHAPES.get(metaInstance.modelId) as ModelShape;
    this.#world.user.command(process, { kind: 'CreateMetaInstance', metaInstance, shape });
  }
}
