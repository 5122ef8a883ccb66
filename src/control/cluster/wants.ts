/** What is wanted through this node: commands to the master, whoever that is by then, and the requests of clients. */
import type { Fault } from '../../shared/errors.js';
import type { InstanceId, ModelId, NodeId, TaskId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { instanceStatus } from '../instances.js';
import { hasProspect, isAccountedFor, isExpected } from '../prospects.js';
import { chooseInstance } from '../routing.js';
import type { ClusterCommand, CommandAnswer } from './commands.js';
import { NO_FACTS } from './facts.js';
import { canEndByWaiting, moved, refused, TOO_SMALL, UNMOVED } from './moves.js';
import type { NodeContext } from './nodeContext.js';
import { isWaiting, type OpenTask, type OpenTasks, type TaskEnd } from './openTasks.js';
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

  task({ taskId, commandId, modelId, deadlineMs, placeWaitMs }: Input<'TaskArrived'>, now: number): void {
    const deadlineAt = now + deadlineMs;
    const named = { taskId, attemptId: taskId, moves: UNMOVED, commandId, modelId };
    const waitUntil = now + Math.min(placeWaitMs, TIMES.placeWaitMs);
    const task = { ...named, deadlineAt, deadlineMs, waitUntil, nodeId: null, record: null };
    this.#tasks.add(task);
    this.#ask(task, null, now);
  }

  #ask(task: OpenTask, avoid: InstanceId | null, now: number): void {
    const { attemptId, commandId, modelId, deadlineAt } = task;
    const { leastContext } = task.moves;
    const { self, node } = this.#context;
    const unreachable = this.#unreachable(modelId, now);
    const api = { apiNodeId: self, apiIncarnation: node.incarnation };
    this.#pending.add({
      key: attemptId,
      deadlineAt: Math.min(deadlineAt, now + TIMES.assignDeadlineMs),
      command: {
        kind: 'AssignTask',
        taskId: attemptId,
        commandId,
        modelId,
        ...api,
        unreachable,
        avoid,
        ...(leastContext === 0 ? {} : { leastContext }),
      },
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
    for (const { taskId } of this.#tasks.expired(now)) this.expireTask(taskId, now);
    for (const { taskId, moves } of this.#tasks.waitedOut(now)) {
      this.endTask(taskId, 'failed', moves.fault, now);
    }
    for (const { key, command } of this.#pending.takeExpired(now)) {
      this.#ended(key, command, { fault: NO_MASTER_ANSWERED }, instant);
    }
  }

  /** The deadline of a request has passed. */
  expireTask(taskId: TaskId, now: number): void {
    const task = this.#tasks.get(taskId);
    if (task === null) return;
    const { record, moves, deadlineMs } = task;
    const place = isWaiting(task) ? 'a place, since' : 'another place after';
    const waited =
      record !== null || moves.fault === null ? '' : `; it waited for ${place}: ${moves.fault.message}`;
    const message = `the request did not end within ${deadlineMs} ms${waited}`;
    this.endTask(taskId, 'failed', { code: 'deadline_exceeded', message }, now);
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
      this.#notPlaced(command.taskId, answer.fault, monotonicMs);
    } else if (answer.kind === 'Assignment') {
      const task = this.#tasks.assigned(answer, node, wallMs);
      if (task !== null) outputs.push({ kind: 'TaskPlaced', taskId: task.taskId, assignment: answer });
    }
  }

  /** One that had a place waits for another; a new request only where one is to be expected. */
  #notPlaced(attempt: TaskId, fault: Fault, now: number): void {
    const task = this.#tasks.ofAttempt(attempt);
    if (task === null) return;
    const { moves, taskId, modelId } = task;
    if (moves.count > 0) {
      this.#tasks.asks(task, refused(moves, now));
      return;
    }
    if (!this.#mayWait(task, fault, now)) this.endTask(taskId, 'failed', fault, now);
    else if (!isWaiting(task) && this.#tasks.waitingFor(modelId).length >= LIMITS.instanceQueueRequests)
      this.endTask(taskId, 'failed', queueFull(fault), now);
    else this.#tasks.asks(task, { ...refused(moves, now), fault });
  }

  /** @param fault why a request that has not begun has no place */
  #mayWait({ modelId, waitUntil }: OpenTask, fault: Fault, now: number): boolean {
    if (fault === NO_MASTER_ANSWERED || !canEndByWaiting(fault)) return false;
    return now < waitUntil && isExpected(this.#context.state, modelId);
  }

  /** A stream that was left already may still break: that says nothing of the place that the request has now. */
  streamBroken({ taskId, attemptId, fault, isBegun }: Input<'TaskStreamBroken'>, instant: Instant): void {
    const task = this.#tasks.get(taskId);
    if (task?.attemptId === attemptId) this.#lostPlace(task, fault, isBegun, instant);
  }

  #lostPlace(task: OpenTask, fault: Fault, isBegun: boolean, instant: Instant): void {
    const { taskId, record } = task;
    const now = instant.monotonicMs;
    if (record === null) return;
    const { instanceId } = record;
    const smallContext = fault.code === TOO_SMALL ? this.#smallContext(task, instanceId, instant) : null;
    const next = moved(task.moves, { fault, isBegun, instanceId, smallContext }, now);
    if ('code' in next) {
      this.endTask(taskId, 'failed', next, now);
      return;
    }
    this.#tasks.moving(task, next);
    const finished = { taskId: record.taskId, instanceId, status: 'failed' } as const;
    this.#ownership.report({ ...NO_FACTS, finishedTasks: [finished] }, now);
    this.#context.outputs.push({ kind: 'TaskMoving', taskId, fault });
    this.seekPlaces(instant);
  }

  /**
   * The context of an instance that a request does not fit into. Null when there is none with more: for one that has
   * begun one may come back, for another it must be there.
   */
  #smallContext({ modelId, moves }: OpenTask, instanceId: InstanceId, instant: Instant): number | null {
    const { state } = this.#context;
    const context = state.instances.get(instanceId)?.contextLength;
    if (context === undefined) return null;
    const leastContext = context + 1;
    const unreachable = new Set(this.#unreachable(modelId, instant.monotonicMs));
    const larger = chooseInstance(state, { modelId, unreachable, leastContext }, instant.wallMs);
    const isThere = 'instance' in larger || (moves.losses > 0 && hasProspect(state, modelId, leastContext));
    return isThere ? context : null;
  }

  /**
   * Asks the master for those that have no place, once this node's own state shows one; ends those that nothing can
   * come for any more.
   */
  seekPlaces(instant: Instant): void {
    const { monotonicMs: now, wallMs } = instant;
    const { state, isUpToDate } = this.#context;
    if (!isUpToDate) return;
    for (const task of this.#tasks.toAsk(now)) {
      const { taskId, modelId, moves } = task;
      const avoid = this.#avoided(task, now, wallMs);
      if (avoid !== undefined) {
        this.#ask(this.#tasks.asks(task, { ...moves, askAt: null }), avoid, now);
      } else if (isWaiting(task)) {
        this.#waitOn(task, instant);
      } else if (!hasProspect(state, modelId, moves.leastContext) && !this.#mayReturn(task, now)) {
        this.endTask(taskId, 'failed', this.#lostForGood(task, wallMs), now);
      }
    }
  }

  /** What it was lost by, and why it goes on nowhere. */
  #lostForGood({ modelId, moves: { fault } }: OpenTask, wallMs: number): Fault | null {
    const choice = chooseInstance(this.#context.state, { modelId, unreachable: new Set() }, wallMs);
    if (fault === null || 'instance' in choice) return fault;
    return { ...fault, message: `${fault.message}; it goes on nowhere, since ${choice.fault.message}` };
  }

  /** One that has not begun, and has no place to ask for: it is told what the state says by now. */
  #waitOn(task: OpenTask, { monotonicMs: now, wallMs }: Instant): void {
    const { modelId, taskId, moves } = task;
    const unreachable = new Set(this.#unreachable(modelId, now));
    const choice = chooseInstance(this.#context.state, { modelId, unreachable }, wallMs);
    if ('instance' in choice) return;
    const { fault } = choice;
    if (this.#mayWait(task, fault, now)) this.#tasks.asks(task, { ...moves, fault });
    else this.endTask(taskId, 'failed', fault, now);
  }

  /** A new master may lack the instance that an earlier one made; whoever wants it says so again before long. */
  #mayReturn({ moves }: OpenTask, now: number): boolean {
    const { avoid, avoidUntil } = moves;
    if (avoid === null || isAccountedFor(this.#context.state, avoid)) return false;
    return now < avoidUntil + TIMES.assignDeadlineMs;
  }

  /** Whom to avoid when the master is asked now; undefined when there is no place to ask for. */
  #avoided({ modelId, moves }: OpenTask, now: number, wallMs: number): InstanceId | null | undefined {
    const { state } = this.#context;
    const { leastContext } = moves;
    const unreachable = new Set(this.#unreachable(modelId, now));
    const elsewhere = chooseInstance(
      state,
      { modelId, unreachable, avoid: moves.avoid, leastContext },
      wallMs,
    );
    const isReady = 'instance' in elsewhere && instanceStatus(state, elsewhere.instance) === 'ready';
    if (isReady || now < moves.avoidUntil) return 'instance' in elsewhere ? moves.avoid : undefined;
    const anywhere = chooseInstance(state, { modelId, unreachable, leastContext }, wallMs);
    return 'instance' in anywhere ? null : undefined;
  }

  /** @param fault null when the stream ended by itself, and whoever asked knows it already */
  endTask(taskId: TaskId, status: TaskEnd, fault: Fault | null, now: number): void {
    const task = this.#tasks.get(taskId);
    if (task === null) return;
    this.#pending.take(task.attemptId);
    const instanceId = this.#tasks.end(taskId, status);
    if (fault !== null) this.#context.outputs.push({ kind: 'TaskEnded', taskId, fault });
    if (instanceId !== null) {
      const finished = { taskId: task.attemptId, instanceId, status };
      this.#ownership.report({ ...NO_FACTS, finishedTasks: [finished] }, now);
    }
  }

  /** The requests that run on nodes which are gone have lost their place. */
  leaveLost(instant: Instant): void {
    const { membership, self } = this.#context;
    for (const nodeId of this.#tasks.nodes) {
      const isDead = nodeId !== self && membership.status(nodeId, instant.monotonicMs) === 'dead';
      if (isDead) this.#nodeLost(nodeId, instant);
    }
  }

  #nodeLost(nodeId: NodeId, instant: Instant): void {
    const name = this.#context.state.nodes.get(nodeId)?.name ?? nodeId;
    const message = `node ${name} (${nodeId}), which served the request, is gone`;
    for (const task of this.#tasks.on(nodeId)) {
      this.#lostPlace(task, { code: 'node_lost', message }, false, instant);
    }
  }
}

function queueFull(fault: Fault): Fault {
  const message = `${LIMITS.instanceQueueRequests} requests wait already; ${fault.message}`;
  return { ...fault, code: 'queue_full', message };
}
