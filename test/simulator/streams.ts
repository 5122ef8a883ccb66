/**
 * The streams of requests, at both ends: the node that the client talks to, and the node whose runner serves it. They
 * break when either process dies or the link between them breaks; the core is told, and the answer goes on elsewhere.
 * Their tokens are numbered, so that one that is missing or comes twice is seen.
 */
import type { Assignment } from '../../src/control/cluster/commands.js';
import { isServing } from '../../src/control/runnerLife.js';
import type { Fault } from '../../src/shared/errors.js';
import type { CommandId, ModelId, NodeId, RunnerId, TaskId } from '../../src/shared/ids.js';
import type { Process } from './machine.js';
import type { Link } from './network.js';

/** Of each answer. */
export const ANSWER_TOKENS = 6;
const TOKENS_AT_ONCE = 2;

/** @param attemptId the place that the stream comes from, not the request */
export type StreamMessage =
  | {
      readonly kind: 'open';
      readonly attemptId: TaskId;
      readonly runnerId: RunnerId;
      /** Tokens that the client has. */
      readonly known: number;
    }
  | { readonly kind: 'cancel'; readonly attemptId: TaskId }
  | { readonly kind: 'begun'; readonly attemptId: TaskId }
  | { readonly kind: 'tokens'; readonly attemptId: TaskId; readonly from: number; readonly count: number }
  | { readonly kind: 'finished'; readonly attemptId: TaskId }
  | { readonly kind: 'failed'; readonly attemptId: TaskId; readonly fault: Fault };

type Answer = Exclude<StreamMessage, { kind: 'open' | 'cancel' }>;

interface Served {
  readonly from: NodeId;
  /** What it came over; null on this machine. */
  readonly link: Link | null;
  readonly stopListening: () => void;
}

const GONE: Fault = { code: 'runner_failed', message: 'the runner has failed' };
const STOPPED: Fault = { code: 'not_ready', message: 'the runner is being stopped' };
const OWN: Fault = { code: 'engine_error', message: 'the sequence cannot be computed' };

/** The streams that this node's runners serve. */
export class Streams {
  readonly #process: Process;
  readonly #served = new Map<TaskId, Served>();

  constructor(process: Process) {
    this.#process = process;
  }

  received(
    from: NodeId,
    message: Extract<StreamMessage, { kind: 'open' | 'cancel' }>,
    link: Link | null,
  ): void {
    if (message.kind === 'open') this.#open({ from, link }, message);
    else this.#drop(message.attemptId);
  }

  linkClosed(peer: NodeId): void {
    for (const [attemptId, { from }] of [...this.#served]) if (from === peer) this.#drop(attemptId);
  }

  #open(
    asker: Pick<Served, 'from' | 'link'>,
    { attemptId, runnerId, known }: Extract<StreamMessage, { kind: 'open' }>,
  ): void {
    const { worker, machine } = this.#process;
    const runner = worker.runners.get(runnerId);
    if (runner === undefined || runner.status === 'failed') {
      this.#answer(asker, { kind: 'failed', attemptId, fault: GONE });
      return;
    }
    let isBegun = false;
    const begin = () => {
      isBegun = true;
      const wholeMs = machine.random.exponential(machine.world.plan.requestMs);
      this.#answer(asker, { kind: 'begun', attemptId });
      this.#speak(attemptId, runnerId, known, (wholeMs * TOKENS_AT_ONCE) / ANSWER_TOKENS);
    };
    const stopListening = worker.listen(runnerId, (status) => {
      if (status === null) this.#end(attemptId, { kind: 'failed', attemptId, fault: STOPPED });
      else if (status === 'failed') this.#end(attemptId, { kind: 'failed', attemptId, fault: GONE });
      else if (!isBegun && isServing(status)) begin();
    });
    this.#served.set(attemptId, { ...asker, stopListening });
    if (isServing(runner.status)) begin();
  }

  #speak(attemptId: TaskId, runnerId: RunnerId, said: number, everyMs: number): void {
    this.#process.after(everyMs, () => {
      const { worker, machine } = this.#process;
      const served = this.#served.get(attemptId);
      if (served === undefined || worker.runners.get(runnerId)?.isFrozen) return;
      const count = Math.min(TOKENS_AT_ONCE, ANSWER_TOKENS - said);
      if (count === 0) {
        const isOwn = machine.random.chance(0.05);
        this.#end(
          attemptId,
          isOwn ? { kind: 'failed', attemptId, fault: OWN } : { kind: 'finished', attemptId },
        );
        return;
      }
      this.#answer(served, { kind: 'tokens', attemptId, from: said, count });
      this.#speak(attemptId, runnerId, said + count, everyMs);
    });
  }

  #end(attemptId: TaskId, end: Answer): void {
    const served = this.#served.get(attemptId);
    if (served === undefined) return;
    this.#drop(attemptId);
    this.#answer(served, end);
  }

  #drop(attemptId: TaskId): void {
    this.#served.get(attemptId)?.stopListening();
    this.#served.delete(attemptId);
  }

  #answer({ from, link }: Pick<Served, 'from' | 'link'>, answer: Answer): void {
    const { machine, api } = this.#process;
    if (from === machine.id) {
      this.#process.after(0, () => api.answered(answer));
      return;
    }
    const peer = machine.world.machine(from);
    if (peer !== undefined) machine.world.network.send(this.#process, peer, { stream: answer }, link);
  }
}

export interface Request {
  readonly taskId: TaskId;
  readonly commandId: CommandId;
  readonly modelId: ModelId;
  readonly deadlineMs: number;
  /** How long it would rather wait for a place than be refused. */
  readonly placeWaitMs: number;
}

interface OpenRequest extends Request {
  /** Virtual time. */
  readonly arrivedAt: number;
  assignment: Assignment | null;
  isBegun: boolean;
  /** Tokens that the client has. */
  known: number;
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
    const fresh = { assignment: null, isBegun: false, known: 0 };
    this.#open.set(request.taskId, { ...request, ...fresh, arrivedAt: world.time.now });
    this.#process.handle({ kind: 'TaskArrived', ...request });
  }

  cancelled(taskId: TaskId): void {
    if (!this.#open.has(taskId)) return;
    const fault = { code: 'cancelled', message: 'the client asked for it' } as const;
    this.#process.handle({ kind: 'TaskCancelled', taskId, fault });
  }

  placed(taskId: TaskId, assignment: Assignment): void {
    const request = this.#open.get(taskId);
    if (request === undefined) return;
    request.assignment = assignment;
    request.isBegun = false;
    const { taskId: attemptId, nodeId, runnerId } = assignment;
    const { machine, streams } = this.#process;
    const open = { kind: 'open', attemptId, runnerId, known: request.known } as const;
    if (nodeId === machine.id) {
      this.#process.after(0, () => {
        if (request.assignment === assignment && this.#open.has(taskId))
          streams.received(machine.id, open, null);
      });
      return;
    }
    if (this.#send(nodeId, open)) return;
    const fault = { code: 'node_lost', message: 'there is no link' } as const;
    this.#process.after(0, () => this.answered({ kind: 'failed', attemptId, fault }));
  }

  /** It has lost its place. */
  moving(taskId: TaskId): void {
    const request = this.#open.get(taskId);
    if (request !== undefined) this.#leave(request);
  }

  /** What comes from a place that the request has left says nothing of it. */
  answered(answer: Answer): void {
    const request = [...this.#open.values()].find(
      ({ assignment }) => assignment?.taskId === answer.attemptId,
    );
    if (request === undefined) return;
    const { taskId, isBegun } = request;
    const { attemptId } = answer;
    switch (answer.kind) {
      case 'begun':
        request.isBegun = true;
        return;
      case 'tokens':
        request.known = answer.from + answer.count;
        for (const watch of this.#process.machine.world.watches) {
          watch.tokensCame?.(this.#process, taskId, answer.from, answer.count);
        }
        return;
      case 'finished':
        this.#open.delete(taskId);
        this.#process.handle({ kind: 'TaskStreamEnded', taskId, status: 'complete' });
        return;
      case 'failed':
        this.#process.handle({ kind: 'TaskStreamBroken', taskId, attemptId, fault: answer.fault, isBegun });
    }
  }

  /** The core ended it. */
  ended(taskId: TaskId): void {
    const request = this.#open.get(taskId);
    if (request === undefined) return;
    this.#open.delete(taskId);
    this.#leave(request);
  }

  linkClosed(peer: NodeId): void {
    const fault = { code: 'node_lost', message: 'the link is closed' } as const;
    for (const { assignment } of [...this.#open.values()]) {
      if (assignment?.nodeId === peer) this.answered({ kind: 'failed', attemptId: assignment.taskId, fault });
    }
  }

  #leave(request: OpenRequest): void {
    const { assignment } = request;
    request.assignment = null;
    if (assignment === null) return;
    const { machine, streams } = this.#process;
    const cancel = { kind: 'cancel', attemptId: assignment.taskId } as const;
    if (assignment.nodeId === machine.id) streams.received(machine.id, cancel, null);
    else this.#send(assignment.nodeId, cancel);
  }

  #send(to: NodeId, stream: StreamMessage): boolean {
    const { world } = this.#process.machine;
    const peer = world.machine(to);
    return peer !== undefined && world.network.send(this.#process, peer, { stream });
  }
}
