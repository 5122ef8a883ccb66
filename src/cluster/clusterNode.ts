/**
 * Runs the core of a node against the world: gives it ticks, what comes over the links and what this machine wants,
 * and carries its outputs out in their order. One node, one core, one queue: nothing overtakes.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Assignment, ClusterCommand, CommandAnswer } from '../control/cluster/commands.js';
import { ControlLog } from '../control/cluster/controlLog.js';
import type { Entry, PeerMessage, Role } from '../control/cluster/messages.js';
import { NodeCore } from '../control/cluster/nodeCore.js';
import type { NodeInput, NodeOutput, RunnerReport } from '../control/cluster/ports.js';
import type { Epoch } from '../control/cluster/position.js';
import type { Snapshot } from '../control/cluster/snapshot.js';
import type { ControlEvent } from '../control/events.js';
import type { Measurements } from '../control/measurements.js';
import type { ClusterState, NodeFact, NodeStatus } from '../control/state.js';
import { type Fault, ShoalError } from '../shared/errors.js';
import { FrameError } from '../shared/frames.js';
import type { CommandId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import { LIMITS, TIMES } from '../shared/limits.js';
import type { LinkedPeer, PeerLinks } from './link/contract.js';
import { parsePeerMessage } from './peerMessages.js';
import type { ControlStore } from './store/contract.js';

/** What the store keeps beside the log. */
export interface StoredTerm {
  readonly term: number;
}

export type NodeStore = ControlStore<Entry, Snapshot, StoredTerm>;

/** An event with the index that the state had after it. */
export interface AppliedEvent {
  readonly index: number;
  readonly event: ControlEvent;
}

export interface ClusterListener {
  applied?(applied: AppliedEvent, state: ClusterState): void;
  /** The whole state is another one. */
  replaced?(state: ClusterState): void;
  roleChanged?(role: Role, epoch: Epoch | null, why: string): void;
  peerJudged?(nodeId: NodeId, status: NodeStatus): void;
  peerLinked?(peer: LinkedPeer): void;
  /** A message of a peer that is not for the core. */
  received?(from: NodeId, message: unknown): void;
  /** A message of a peer that is not as it should be; it was dropped. */
  misunderstood?(from: NodeId, problem: string): void;
  /** A message for a peer is longer than a link carries; it was dropped. */
  tooLong?(to: NodeId, problem: string): void;
}

/** How the core tells what becomes of a task. */
export interface TaskListener {
  /** It runs there from now on; told again when it has moved. */
  placed(assignment: Assignment): void;
  /** It has lost its place, and may get another. */
  moving(fault: Fault): void;
  /** The core ended the task; it will hear nothing of it any more. */
  ended(fault: Fault): void;
}

export interface ClusterNodeComponents {
  readonly links: PeerLinks;
  readonly store: NodeStore;
}

const STOPPED: Fault = { code: 'not_ready', message: 'this node is stopping' };

export class ClusterNode {
  readonly #links: PeerLinks;
  readonly #store: NodeStore;
  readonly #core: NodeCore;
  readonly #listeners = new Set<ClusterListener>();
  readonly #commands = new Map<string, (answer: CommandAnswer | { readonly fault: Fault }) => void>();
  readonly #tasks = new Map<TaskId, TaskListener>();
  readonly #recent: AppliedEvent[] = [];
  /** Index of the state that listeners were told of last. */
  #toldIndex: number;
  /** Up to here an index may be of a history that this node has given up. */
  #doubtfulIndex = -1;
  readonly #outputs: NodeOutput[] = [];
  #isCarryingOut = false;
  #isStopped = false;
  #ticker: NodeJS.Timeout | undefined;

  private constructor({ links, store }: ClusterNodeComponents, core: NodeCore) {
    this.#links = links;
    this.#store = store;
    this.#core = core;
    this.#toldIndex = core.state.index;
  }

  /**
   * Takes the log up where the node left it.
   * @throws {ShoalError} `storage_failed` when the store cannot be read
   */
  static async open(components: ClusterNodeComponents, node: NodeFact): Promise<ClusterNode> {
    const stored = await components.store.load();
    const log = new ControlLog();
    if (stored.snapshot !== null) log.install(stored.snapshot);
    log.accept(log.position, stored.records, () => undefined);
    return new ClusterNode(components, new NodeCore({ node, log, term: stored.meta?.term ?? 0 }));
  }

  get state(): ClusterState {
    return this.#core.state;
  }

  get role(): Role {
    return this.#core.role;
  }

  /** Is the state that of a living master? */
  get isUpToDate(): boolean {
    return this.#core.isUpToDate;
  }

  /** Takes part from now on. */
  start(): void {
    this.#links.listen({
      opened: (peer) => this.#linkOpened(peer),
      closed: ({ nodeId }) => this.#handle({ kind: 'LinkClosed', peer: nodeId }),
      received: (from, message) => this.#received(from, message),
    });
    for (const peer of this.#links.peers.values()) this.#linkOpened(peer);
    this.#handle({ kind: 'Tick' });
    this.#ticker = setInterval(() => this.#handle({ kind: 'Tick' }), TIMES.tickMs);
  }

  /** Tells the others that this node goes, and takes part no longer. */
  leave(): void {
    this.#handle({ kind: 'Leave' });
    this.stop();
  }

  /** Takes part no longer, without a word. Commands and tasks that are still open end with `not_ready`. */
  stop(): void {
    clearInterval(this.#ticker);
    this.#isStopped = true;
    const [commands, tasks] = [[...this.#commands.values()], [...this.#tasks.values()]];
    this.#commands.clear();
    this.#tasks.clear();
    for (const settle of commands) settle({ fault: STOPPED });
    for (const task of tasks) task.ended(STOPPED);
  }

  /** Rejects with the reason of the signal. */
  async untilUpToDate(signal: AbortSignal): Promise<void> {
    while (!this.isUpToDate) await sleep(TIMES.tickMs, undefined, { signal });
  }

  /** Returns the function that ends it. */
  listen(listener: ClusterListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * The events after this index, oldest first. Null when some of them are no longer kept, or when the index may be one
   * of another history: who had that needs the whole state.
   */
  eventsSince(index: number): AppliedEvent[] | null {
    if (index <= this.#doubtfulIndex) return null;
    const first = this.#recent[0]?.index ?? this.state.index + 1;
    if (index + 1 < first || index > this.state.index) return null;
    return this.#recent.filter((applied) => applied.index > index);
  }

  /**
   * Has the master carry out a command, whoever that is by then.
   * @throws {ShoalError} the master's refusal, or `not_ready` when none answered in time or this node stops
   */
  async command(
    command: ClusterCommand,
    timeoutMs: number = TIMES.commandDeadlineMs,
  ): Promise<CommandAnswer> {
    if (this.#isStopped) throw ShoalError.fromFault(STOPPED);
    const key = randomUUID();
    const answer = await new Promise<CommandAnswer | { readonly fault: Fault }>((resolve) => {
      this.#commands.set(key, resolve);
      this.#handle({ kind: 'CommandIssued', key, command, timeoutMs });
    });
    if ('fault' in answer) throw ShoalError.fromFault(answer.fault);
    return answer;
  }

  openTask(
    task: Pick<
      Extract<NodeInput, { kind: 'TaskArrived' }>,
      'taskId' | 'commandId' | 'modelId' | 'deadlineMs' | 'placeWaitMs'
    >,
    listener: TaskListener,
  ): void {
    if (this.#isStopped) {
      listener.ended(STOPPED);
      return;
    }
    this.#tasks.set(task.taskId, listener);
    this.#handle({ kind: 'TaskArrived', ...task });
  }

  /** The stream of a task has come to its end. */
  taskStreamEnded(taskId: TaskId, status: 'complete' | 'failed' | 'cancelled'): void {
    this.#tasks.delete(taskId);
    this.#handle({ kind: 'TaskStreamEnded', taskId, status });
  }

  /** The stream from the place of this attempt broke off. */
  taskStreamBroken(taskId: TaskId, attemptId: TaskId, fault: Fault, isBegun: boolean): void {
    this.#handle({ kind: 'TaskStreamBroken', taskId, attemptId, fault, isBegun });
  }

  /** The deadline of a task has passed. */
  expireTask(taskId: TaskId): void {
    this.#handle({ kind: 'TaskExpired', taskId });
  }

  cancelTask(taskId: TaskId, fault: Fault): void {
    this.#handle({ kind: 'TaskCancelled', taskId, fault });
  }

  /** The task of a client's request on this node. */
  taskOf(commandId: CommandId): TaskId | null {
    return this.#core.taskOf(commandId);
  }

  /** Requests of this node's clients that have no place now, and wait for one. */
  get placelessTasks(): number {
    return this.#core.placelessTasks;
  }

  runnerChanged(runner: RunnerReport): void {
    this.#handle({ kind: 'RunnerChanged', runner });
  }

  runnerGone(runnerId: RunnerId): void {
    this.#handle({ kind: 'RunnerGone', runnerId });
  }

  /** The newest measured values of all nodes: what placement is told of them and the ways between them. */
  get measured(): Measurements {
    return this.#core.measured;
  }

  tellMeasured(measured: Measurements): void {
    this.#handle({ kind: 'Measured', measured });
  }

  nodeChanged(node: NodeFact): void {
    this.#handle({ kind: 'NodeChanged', node });
  }

  #linkOpened(peer: LinkedPeer): void {
    this.#handle({ kind: 'LinkOpened', peer: peer.nodeId, incarnation: peer.incarnation });
    this.#tell((listener) => listener.peerLinked?.(peer));
  }

  #received(from: NodeId, message: unknown): void {
    const parsed = parsePeerMessage(message);
    if (parsed === null) this.#tell((listener) => listener.received?.(from, message));
    else if ('message' in parsed) this.#handle({ kind: 'Received', from, message: parsed.message });
    else this.#tell((listener) => listener.misunderstood?.(from, parsed.problem));
  }

  #handle(input: NodeInput): void {
    if (this.#isStopped) return;
    const instant = { monotonicMs: performance.now(), wallMs: Date.now() };
    this.#outputs.push(...this.#core.handle(input, instant));
    if (!this.#isCarryingOut) void this.#carryOut();
  }

  /** Synchronous but for a claimed term, which must be on the disk before anybody hears of it. */
  async #carryOut(): Promise<void> {
    this.#isCarryingOut = true;
    for (let output = this.#outputs.shift(); output !== undefined; output = this.#outputs.shift()) {
      if (output.kind === 'StoreTerm') await this.#store.setMeta({ term: output.term });
      else this.#carry(output);
    }
    this.#isCarryingOut = false;
    if (this.#store.wantsSnapshot) this.#saveSnapshot();
  }

  /** Only when all entries are carried out: the log in memory and the store's then end at the same one. */
  #saveSnapshot(): void {
    const snapshot = this.#core.snapshot();
    void this.#store.saveSnapshot(snapshot, snapshot.position.index);
  }

  /** A disk that refuses is not told of: an answer that waits for it goes out when its time is up. */
  async #flush(index: number): Promise<void> {
    if (await this.#store.flush()) this.#handle({ kind: 'Flushed', index });
  }

  #carry(output: Exclude<NodeOutput, { kind: 'StoreTerm' }>): void {
    switch (output.kind) {
      case 'Send':
        this.#send(output.to, output.message);
        return;
      case 'StoreEntry':
        this.#store.append([output.entry]);
        return;
      case 'StoreSnapshot':
        void this.#store.replace(output.snapshot, output.snapshot.position.index);
        return;
      case 'Flush':
        void this.#flush(output.index);
        return;
      case 'Applied':
        this.#applied({ index: output.entry.index, event: output.entry.event });
        return;
      case 'StateReplaced':
        this.#recent.length = 0;
        this.#doubtfulIndex = Math.max(this.#doubtfulIndex, this.#toldIndex);
        this.#toldIndex = this.state.index;
        this.#tell((listener) => listener.replaced?.(this.state));
        return;
      case 'RoleChanged':
        this.#tell((listener) => listener.roleChanged?.(output.role, output.epoch, output.why));
        return;
      case 'PeerJudged':
        this.#tell((listener) => listener.peerJudged?.(output.nodeId, output.status));
        return;
      case 'CommandEnded':
        this.#commands.get(output.key)?.(output.answer);
        this.#commands.delete(output.key);
        return;
      case 'TaskPlaced':
        this.#tasks.get(output.taskId)?.placed(output.assignment);
        return;
      case 'TaskMoving':
        this.#tasks.get(output.taskId)?.moving(output.fault);
        return;
      case 'TaskEnded': {
        const listener = this.#tasks.get(output.taskId);
        this.#tasks.delete(output.taskId);
        listener?.ended(output.fault);
        return;
      }
    }
  }

  /** One that is too long for a link is dropped: what matters is said again, and this node has others to serve. */
  #send(to: NodeId, message: PeerMessage): void {
    try {
      this.#links.send(to, message);
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#tell((listener) => listener.tooLong?.(to, error.message));
    }
  }

  #applied(applied: AppliedEvent): void {
    this.#toldIndex = applied.index;
    this.#recent.push(applied);
    if (this.#recent.length > LIMITS.recentEvents) this.#recent.shift();
    this.#tell((listener) => listener.applied?.(applied, this.state));
  }

  #tell(say: (listener: ClusterListener) => void): void {
    for (const listener of this.#listeners) say(listener);
  }
}
