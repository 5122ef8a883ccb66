/**
 * The streams of requests, at both ends: the node that the client talks to, and the node whose runner serves it. They
 * break when either process dies or the link between them breaks; the core is told how each ended.
 */
import type { Assignment } from '../../src/control/cluster/commands.js';
import type { TaskEnd } from '../../src/control/cluster/openTasks.js';
import { isServing } from '../../src/control/runnerLife.js';
import type { CommandId, ModelId, NodeId, RunnerId, TaskId } from '../../src/shared/ids.js';
import type { Process } from './machine.js';

export type StreamMessage =
  | { readonly kind: 'open'; readonly taskId: TaskId; readonly runnerId: RunnerId }
  | { readonly kind: 'cancel'; readonly taskId: TaskId }
  | { readonly kind: 'ended'; readonly taskId: TaskId; readonly status: TaskEnd };

interface Served {
  readonly from: NodeId;
  readonly stopListening: () => void;
}

/** The streams that this node's runners serve. */
export class Streams {
  readonly #process: Process;
  readonly #served = new Map<TaskId, Served>();

  constructor(process: Process) {
    this.#process = process;
  }

  received(from: NodeId, message: StreamMessage): void {
    if (message.kind === 'open') this.#open(from, message.taskId, message.runnerId);
    else this.#drop(message.taskId);
  }

  linkClosed(peer: NodeId): void {
    for (const [taskId, { from }] of [...this.#served]) if (from === peer) this.#drop(taskId);
  }

  #open(from: NodeId, taskId: TaskId, runnerId: RunnerId): void {
    const { worker, machine } = this.#process;
    const runner = worker.runners.get(runnerId);
    if (runner === undefined || runner.status === 'failed') {
      this.#answer(from, taskId, 'failed');
      return;
    }
    let isBegun = false;
    const begin = () => {
      isBegun = true;
      this.#process.after(machine.random.exponential(machine.world.plan.requestMs), () => {
        const current = worker.runners.get(runnerId);
        if (current?.isFrozen) return;
        this.#end(taskId, machine.random.chance(0.05) ? 'failed' : 'complete');
      });
    };
    const stopListening = worker.listen(runnerId, (status) => {
      if (status === null || status === 'failed') this.#end(taskId, 'failed');
      else if (!isBegun && isServing(status)) begin();
    });
    this.#served.set(taskId, { from, stopListening });
    if (isServing(runner.status)) begin();
  }

  #end(taskId: TaskId, status: TaskEnd): void {
    const served = this.#served.get(taskId);
    if (served === undefined) return;
    this.#drop(taskId);
    this.#answer(served.from, taskId, status);
  }

  #drop(taskId: TaskId): void {
    this.#served.get(taskId)?.stopListening();
    this.#served.delete(taskId);
  }

  #answer(to: NodeId, taskId: TaskId, status: TaskEnd): void {
    const { machine, api } = this.#process;
    if (to === machine.id) {
      this.#process.after(0, () => api.streamEnded(taskId, status));
      return;
    }
    const peer = machine.world.machine(to);
    if (peer !== undefined)
      machine.world.network.send(this.#process, peer, { stream: { kind: 'ended', taskId, status } });
  }
}

export interface Request {
  readonly taskId: TaskId;
  readonly commandId: CommandId;
  readonly modelId: ModelId;
  readonly deadlineMs: number;
}

interface OpenRequest extends Request {
  /** Virtual time. */
  readonly arrivedAt: number;
  assignment: Assignment | null;
}

/** The requests that clients sent to this node. */
export class Api {
  readonly #process: Process;
  readonly #open = new Map<TaskId, OpenRequest>();

  constructor(process: Process) {
    this.#process = process;
  }

  get open(): ReadonlyMap<TaskId, Readonly<OpenRequest>> {
    return this.#open;
  }

  arrived(request: Request): void {
    const { world } = this.#process.machine;
    this.#open.set(request.taskId, { ...request, arrivedAt: world.time.now, assignment: null });
    this.#process.handle({ kind: 'TaskArrived', ...request });
  }

  cancelled(taskId: TaskId): void {
    if (!this.#open.has(taskId)) return;
    const fault = { code: 'cancelled', message: 'the client asked for it' } as const;
    this.#process.handle({ kind: 'TaskCancelled', taskId, fault });
  }

  placed(assignment: Assignment): void {
    const { taskId, nodeId, runnerId } = assignment;
    const request = this.#open.get(taskId);
    if (request === undefined) return;
    request.assignment = assignment;
    const { machine, streams } = this.#process;
    if (nodeId === machine.id) {
      this.#process.after(0, () => {
        if (this.#open.has(taskId)) streams.received(machine.id, { kind: 'open', taskId, runnerId });
      });
      return;
    }
    if (this.#send(nodeId, { kind: 'open', taskId, runnerId })) return;
    this.#process.after(0, () => this.streamEnded(taskId, 'failed'));
  }

  /** The stream ended by itself, over there or by the loss of the link. */
  streamEnded(taskId: TaskId, status: TaskEnd): void {
    if (this.#open.delete(taskId)) this.#process.handle({ kind: 'TaskStreamEnded', taskId, status });
  }

  /** The core ended it. */
  ended(taskId: TaskId): void {
    const request = this.#open.get(taskId);
    if (request === undefined) return;
    this.#open.delete(taskId);
    if (request.assignment === null) return;
    const { nodeId } = request.assignment;
    const { machine, streams } = this.#process;
    if (nodeId === machine.id) streams.received(machine.id, { kind: 'cancel', taskId });
    else this.#send(nodeId, { kind: 'cancel', taskId });
  }

  linkClosed(peer: NodeId): void {
    for (const { taskId, assignment } of [...this.#open.values()]) {
      if (assignment?.nodeId === peer) this.streamEnded(taskId, 'failed');
    }
  }

  #send(to: NodeId, stream: StreamMessage): boolean {
    const { world } = this.#process.machine;
    const peer = world.machine(to);
    return peer !== undefined && world.network.send(this.#process, peer, { stream });
  }
}
