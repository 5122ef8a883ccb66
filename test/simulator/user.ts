/** The people around: on any node, in bursts, impatient, with wishes that contradict each other. */
import type { ClusterCommand, CommandAnswer } from '../../src/control/cluster/commands.js';
import type { InstanceRecord } from '../../src/control/state.js';
import type { Fault } from '../../src/shared/errors.js';
import type { CommandId, InstanceId, ModelId, NodeId, RunnerId, TaskId } from '../../src/shared/ids.js';
import { TIMES } from '../../src/shared/limits.js';
import type { Process } from './machine.js';
import type { Random } from './random.js';
import type { World } from './world.js';

export interface IssuedCommand {
  readonly key: string;
  readonly command: ClusterCommand;
  readonly process: Process;
  readonly issuedAt: number;
  readonly timeoutMs: number;
}

const MOST_INSTANCES = 8;

/** In turn and not by lot: seeds that were kept stay what they are. */
const PLACE_WAITS_MS = [0, 1_000, TIMES.placeWaitMs];

export class User {
  readonly #world: World;
  readonly #random: Random;
  readonly #issued = new Map<string, IssuedCommand>();
  #count = 0;
  isActive = false;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  start(): void {
    this.#world.time.after(this.#random.exponential(this.#world.plan.wishEveryMs), () => {
      if (this.isActive) this.#wish();
      this.start();
    });
  }

  issued(key: string): IssuedCommand | undefined {
    return this.#issued.get(key);
  }

  #wish(): void {
    const process = this.#random.pick(this.#world.processes);
    if (process === undefined) return;
    const draw = this.#random.next();
    if (draw < 0.7) this.#ask(process, 1);
    else if (draw < 0.74) this.#ask(process, this.#random.integer(2, 24));
    else if (draw < 0.84) this.#cancel(process);
    else if (draw < 0.93) this.create(process);
    else if (draw < 0.98) this.#delete(process);
    else this.#forget(process);
  }

  #ask(process: Process, count: number): void {
    for (let at = 0; at < count; at += 1) {
      this.#count += 1;
      const request = {
        taskId: `t${this.#count}` as TaskId,
        commandId: `c${this.#count}` as CommandId,
        modelId: this.#model(),
        deadlineMs: this.#random.pick([300, 2_000, 10_000, 20_000]) as number,
        placeWaitMs: PLACE_WAITS_MS[this.#count % PLACE_WAITS_MS.length] as number,
      };
      process.whenAwake(() => process.api.arrived(request));
    }
  }

  #cancel(process: Process): void {
    const taskId = this.#random.pick([...process.api.open.keys()]);
    if (taskId !== undefined) process.whenAwake(() => process.api.cancelled(taskId));
  }

  /** An instance over one or two nodes that live, as far as this node knows. */
  create(process: Process): void {
    const { state } = process.core;
    if (state.instances.size >= MOST_INSTANCES) return;
    const alive = [...state.nodes.values()].filter(({ status }) => status === 'alive');
    const count = this.#random.chance(0.3) ? 2 : 1;
    const nodeIds = this.#random.shuffled(alive.map(({ nodeId }) => nodeId)).slice(0, count);
    if (nodeIds.length === 0) return;
    this.#count += 1;
    const instance = this.#instance(`i${this.#count}`, nodeIds);
    this.command(process, { kind: 'CreateInstance', instance });
  }

  #instance(id: string, nodeIds: readonly NodeId[]): InstanceRecord {
    return {
      instanceId: id as InstanceId,
      metaInstanceId: null,
      attempt: 1,
      failure: null,
      excused: 0,
      modelId: this.#model(),
      sharding: 'Pipeline',
      transport: 'Ring',
      contextLength: 512,
      maxSequences: 4,
      cacheCells: 2048,
      shards: nodeIds.map((nodeId, rank) => ({
        rank,
        worldSize: nodeIds.length,
        nodeId,
        runnerId: `${id}.${rank}` as RunnerId,
        startLayer: 8 * rank,
        endLayer: 8 * rank + 8,
        memoryBytes: 1_000_000_000,
      })),
    };
  }

  #delete(process: Process): void {
    const instanceId = this.#random.pick([...process.core.state.instances.keys()]);
    if (instanceId !== undefined) this.command(process, { kind: 'DeleteInstance', instanceId });
  }

  #forget(process: Process): void {
    const dead = [...process.core.state.nodes.values()].filter(({ status }) => status === 'dead');
    const node = this.#random.pick(dead);
    if (node !== undefined) this.command(process, { kind: 'ForgetNode', nodeId: node.nodeId });
  }

  command(process: Process, command: ClusterCommand): void {
    this.#count += 1;
    const key = `k${this.#count}`;
    const timeoutMs = this.#random.pick([2_000, 15_000]) as number;
    process.whenAwake(() => {
      const issuedAt = this.#world.time.now;
      const issued = { key, command, process, issuedAt, timeoutMs };
      this.#issued.set(key, issued);
      for (const watch of this.#world.watches) watch.commandIssued?.(issued);
      process.handle({ kind: 'CommandIssued', key, command, timeoutMs });
    });
  }

  commandEnded(process: Process, key: string, answer: CommandAnswer | { readonly fault: Fault }): void {
    const issued = this.#issued.get(key);
    for (const watch of this.#world.watches) watch.commandEnded?.(process, key, answer);
    if (issued !== undefined && !('fault' in answer)) this.#world.note(`${key} done`);
  }

  #model(): ModelId {
    return `m${this.#random.integer(1, this.#world.plan.models)}` as ModelId;
  }
}
