/**
 * The requests of clients of this node, each from its arrival to its one end. A request first asks the master where
 * it may run; then its tokens stream from there, and what the cluster decides does not touch it any more. When it loses
 * that place it asks again. Each place is a task of its own in the state, so that none is counted in two.
 */
import type { CommandId, InstanceId, ModelId, NodeId, TaskId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import type { TaskRecord, TaskStatus } from '../state.js';
import type { Assignment } from './commands.js';
import { attemptId, type Moves } from './moves.js';

export interface OpenTask {
  readonly taskId: TaskId;
  /** The task that the state has, or will have, for the place that it has or asks for. */
  readonly attemptId: TaskId;
  readonly moves: Moves;
  readonly commandId: CommandId;
  readonly modelId: ModelId;
  /** On this node's monotonic clock. */
  readonly deadlineAt: number;
  /** How long the client gave it, for the message of its end. */
  readonly deadlineMs: number;
  /** Until then it may wait for its first place. */
  readonly waitUntil: number;
  /** Where it runs; null until the master has said so. */
  readonly nodeId: NodeId | null;
  /** As the state should have it; null until it is known where it runs. */
  readonly record: TaskRecord | null;
}

/** Has it been refused its first place, and waits for one all the same? */
export function isWaiting({ moves, record }: OpenTask): boolean {
  return record === null && moves.count === 0 && moves.askings > 0;
}

export type TaskEnd = Exclude<TaskStatus, 'running'>;

export class OpenTasks {
  readonly #open = new Map<TaskId, OpenTask>();
  readonly #byCommand = new Map<CommandId, TaskId>();
  readonly #byAttempt = new Map<TaskId, TaskId>();
  /** How tasks ended, for a state that still has them as running; the newest only. */
  readonly #ended = new Map<TaskId, TaskEnd>();

  get records(): ReadonlyMap<TaskId, TaskRecord | null> {
    return new Map([...this.#open.values()].map(({ attemptId, record }) => [attemptId, record]));
  }

  get ended(): ReadonlyMap<TaskId, TaskEnd> {
    return this.#ended;
  }

  /** Those that have no place now, and wait for one. */
  get placeless(): number {
    return [...this.#open.values()].filter(({ record }) => record === null).length;
  }

  add(task: OpenTask): void {
    this.#open.set(task.taskId, task);
    this.#byCommand.set(task.commandId, task.taskId);
    this.#byAttempt.set(task.attemptId, task.taskId);
  }

  /** The request that asks for this place, or has it. */
  ofAttempt(attempt: TaskId): OpenTask | null {
    const taskId = this.#byAttempt.get(attempt);
    return taskId === undefined ? null : this.get(taskId);
  }

  /** Takes note that it asks, or shall ask, for a place. */
  asks(task: OpenTask, moves: Moves): OpenTask {
    const asking = { ...task, moves };
    this.#open.set(task.taskId, asking);
    return asking;
  }

  /** It has lost its place and asks for another, which is the task of another attempt. */
  moving(task: OpenTask, moves: Moves): OpenTask {
    const moving: OpenTask = {
      ...task,
      attemptId: attemptId(task.taskId, moves),
      moves,
      nodeId: null,
      record: null,
    };
    this.#forgetAttempt(task.attemptId, 'failed');
    this.#byAttempt.set(moving.attemptId, task.taskId);
    this.#open.set(task.taskId, moving);
    return moving;
  }

  #forgetAttempt(attempt: TaskId, status: TaskEnd): void {
    this.#byAttempt.delete(attempt);
    this.#ended.set(attempt, status);
    if (this.#ended.size <= LIMITS.finishedTasks) return;
    for (const oldest of this.#ended.keys()) {
      this.#ended.delete(oldest);
      return;
    }
  }

  get(taskId: TaskId): OpenTask | null {
    return this.#open.get(taskId) ?? null;
  }

  find(commandId: CommandId): OpenTask | null {
    const taskId = this.#byCommand.get(commandId);
    return taskId === undefined ? null : this.get(taskId);
  }

  /** Null when the request has ended meanwhile, or runs somewhere already. */
  assigned(
    { taskId: attempt, instanceId, nodeId }: Assignment,
    api: { readonly nodeId: NodeId; readonly incarnation: number },
    wallMs: number,
  ): OpenTask | null {
    const task = this.ofAttempt(attempt);
    if (task === null || task.record !== null) return null;
    const record: TaskRecord = {
      taskId: attempt,
      commandId: task.commandId,
      instanceId,
      kind: 'generation',
      status: 'running',
      apiNodeId: api.nodeId,
      apiIncarnation: api.incarnation,
      createdAt: wallMs,
    };
    const assigned = { ...task, nodeId, record };
    this.#open.set(task.taskId, assigned);
    return assigned;
  }

  /** Where the task ran, for the report; null when it ended before, or ran nowhere. */
  end(taskId: TaskId, status: TaskEnd): InstanceId | null {
    const task = this.#open.get(taskId);
    if (task === undefined) return null;
    this.#open.delete(taskId);
    this.#byCommand.delete(task.commandId);
    this.#forgetAttempt(task.attemptId, status);
    return task.record?.instanceId ?? null;
  }

  expired(now: number): OpenTask[] {
    return [...this.#open.values()].filter(({ deadlineAt }) => now >= deadlineAt);
  }

  /** Those that have never had a place and wait for one of this model. */
  waitingFor(modelId: ModelId): OpenTask[] {
    return [...this.#open.values()].filter((task) => task.modelId === modelId && isWaiting(task));
  }

  /** Those that wait for their first place, and have done so for as long as they may. */
  waitedOut(now: number): OpenTask[] {
    return [...this.#open.values()].filter((task) => now >= task.waitUntil && isWaiting(task));
  }

  /** Those that have no place, and whose time to ask for one has come. */
  toAsk(now: number): OpenTask[] {
    return [...this.#open.values()].filter(({ moves }) => moves.askAt !== null && moves.askAt <= now);
  }

  /** Those that run on a node. */
  on(nodeId: NodeId): OpenTask[] {
    return [...this.#open.values()].filter((task) => task.nodeId === nodeId);
  }

  /** The nodes that tasks run on. */
  get nodes(): ReadonlySet<NodeId> {
    return new Set([...this.#open.values()].flatMap(({ nodeId }) => nodeId ?? []));
  }
}
