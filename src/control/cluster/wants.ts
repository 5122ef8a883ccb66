/** What is wanted through this node: commands to the master, whoever that is by then, and the requests of clients. */
import type { Fault } from '../../shared/errors.js';
import type { ModelId, NodeId, TaskId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import { chooseInstance } from '../routing.js';
import type { ClusterCommand, CommandAnswer } from './commands.js';
import { NO_FACTS } from './facts.js';
import type { NodeContext } from './nodeContext.js';
import type { OpenTasks, TaskEnd } from './openTasks.js';
import type { Ownership } from './ownership.js';
import { NO_MASTER_ANSWERED, type PendingCommand, PendingCommands } from './pendingCommands.js';
import type { Instant, NodeInput } from './ports.js';

type Input<Kind extends NodeInput['kind']> = Extract<NodeInput, { readonly kind: Kind }>;

export class Wants {
  readonly #context: NodeContext;
  readonly #ownership: Ownership;
  readonly #tasks: OpenTasks;
  readonly #pending = new PendingCommands();

  constructor(context: NodeContext, ownership: Ownership, tasks: OpenTasks) {
    this.#context = context;
    this.#ownership = ownership;
    this.#tasks = tasks;
  }

  command({ key, command, timeoutMs }: Input<'CommandIssued'>, now: number): void {
    this.#pending.add({ key, command, deadlineAt: now + timeoutMs });
  }

  task({ taskId, commandId, modelId, deadlineMs }: Input<'TaskArrived'>, now: number): void {
    const { self, node } = this.#context;
    const deadlineAt = now + deadlineMs;
    this.#tasks.add({ taskId, commandId, modelId, deadlineAt, deadlineMs, nodeId: null, record: null });
    const unreachable = this.#unreachable(modelId, now);
    const api = { apiNodeId: self, apiIncarnation: node.incarnation };
    this.#pending.add({
      key: taskId,
      deadlineAt: Math.min(deadlineAt, now + TIMES.assignDeadlineMs),
      command: { kind: 'AssignTask', taskId, commandId, modelId, ...api, unreachable },
    });
  }

  /** Nodes that a stream cannot come from. One that is silent on its link counts, if there is another to ask. */
  #unreachable(modelId: ModelId, now: number): NodeId[] {
    const { state, self, membership } = this.#context;
    const others = [...state.nodes.keys()].filter((nodeId) => nodeId !== self);
    const unlinked = others.filter((nodeId) => !membership.isLinked(nodeId));
    const unheard = others.filter((nodeId) => !membership.isHeard(nodeId, now));
    if (unheard.length === unlinked.length) return unlinked;
    const choice = chooseInstance(state, { modelId, unreachable: new Set(unheard) }, now);
    return 'instance' in choice ? unheard : unlinked;
  }

  /** What the master, which is this node or another one, is to be sent now. */
  toSend(now: number): PendingCommand[] {
    const { epoch, isUpToDate, reign } = this.#context;
    if (epoch === null || !isUpToDate) return [];
    if (reign !== null && this.#context.actingReign(now) === null) return [];
    return this.#pending.toSend(epoch, now);
  }

  /** An answer of the master. One that comes twice, or too late, is nobody's. */
  answered(key: string, answer: CommandAnswer | { readonly fault: Fault }, instant: Instant): void {
    const pending = this.#pending.take(key);
    if (pending !== null) this.#ended(key, pending.command, answer, instant);
  }

  expire(instant: Instant): void {
    const now = instant.monotonicMs;
    for (const task of this.#tasks.expired(now)) {
      const message = `the request did not end within ${task.deadlineMs} ms`;
      this.endTask(task.taskId, 'failed', { code: 'deadline_exceeded', message }, now);
    }
    for (const { key, command } of this.#pending.takeExpired(now)) {
      this.#ended(key, command, { fault: NO_MASTER_ANSWERED }, instant);
    }
  }

  #ended(
    key: string,
    command: ClusterCommand,
    answer: CommandAnswer | { readonly fault: Fault },
    { monotonicMs, wallMs }: Instant,
  ): void {
    const { outputs, node } = this.#context;
    if (command.kind !== 'AssignTask') {
      outputs.push({ kind: 'CommandEnded', key, answer });
    } else if ('fault' in answer) {
      this.endTask(command.taskId, 'failed', answer.fault, monotonicMs);
    } else if (answer.kind === 'Assignment') {
      const task = this.#tasks.assigned(answer, node, wallMs);
      if (task !== null) outputs.push({ kind: 'TaskPlaced', assignment: answer });
    }
  }

  /** @param fault null when the stream ended by itself, and whoever asked knows it already */
  endTask(taskId: TaskId, status: TaskEnd, fault: Fault | null, now: number): void {
    if (this.#tasks.get(taskId) === null) return;
    this.#pending.take(taskId);
    const instanceId = this.#tasks.end(taskId, status);
    if (fault !== null) this.#context.outputs.push({ kind: 'TaskEnded', taskId, fault });
    if (instanceId !== null) {
      this.#ownership.report({ ...NO_FACTS, finishedTasks: [{ taskId, instanceId, status }] }, now);
    }
  }

  /** Ends the requests that run on nodes which are gone. */
  endLost(now: number): void {
    const { membership, self } = this.#context;
    for (const nodeId of this.#tasks.nodes) {
      if (nodeId !== self && membership.status(nodeId, now) === 'dead') this.#nodeLost(nodeId, now);
    }
  }

  #nodeLost(nodeId: NodeId, now: number): void {
    const name = this.#context.state.nodes.get(nodeId)?.name ?? nodeId;
    const message = `node ${name} (${nodeId}), which served the request, is gone`;
    for (const { taskId } of this.#tasks.on(nodeId)) {
      this.endTask(taskId, 'failed', { code: 'node_lost', message }, now);
    }
  }
}
