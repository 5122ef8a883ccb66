/**
 * One node's part in the cluster, without a clock, a socket or a disk: inputs and the time go in, outputs come out,
 * and the same inputs give the same outputs. The shell in `src/cluster/` runs it against the world, the simulator in
 * `test/simulator/` against a virtual one. What it promises is in docs/consistency.md.
 */
import type { CommandId, NodeId, TaskId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import type { Measurements } from '../measurements.js';
import type { ClusterState, NodeFact } from '../state.js';
import type { ControlLog } from './controlLog.js';
import { Decisions } from './decisions.js';
import { eventsFor } from './facts.js';
import { Ledger } from './ledger.js';
import { LinkWatch } from './linkWatch.js';
import type { PeerMessage, Pulse, Role } from './messages.js';
import { NodeContext } from './nodeContext.js';
import { OpenTasks } from './openTasks.js';
import { Ownership } from './ownership.js';
import type { Instant, NodeInput, NodeOutput } from './ports.js';
import type { Epoch, Position } from './position.js';
import { Presence } from './presence.js';
import { Reconciliation } from './reconciliation.js';
import { Rule } from './rule.js';
import type { Snapshot } from './snapshot.js';
import { Wants } from './wants.js';

export interface NodeCoreOptions {
  readonly node: NodeFact;
  /** The log as it was when the node last ran, or an empty one. */
  readonly log: ControlLog;
  /** The highest term that this node has ever claimed. */
  readonly term: number;
}

export class NodeCore {
  readonly #context: NodeContext;
  readonly #tasks = new OpenTasks();
  readonly #linkWatch: LinkWatch;
  readonly #ledger: Ledger;
  readonly #ownership: Ownership;
  readonly #presence: Presence;
  readonly #rule: Rule;
  readonly #wants: Wants;
  readonly #decisions: Decisions;
  readonly #reconciliation: Reconciliation;
  #lastSeenAt: number | null = null;

  constructor({ node, log, term }: NodeCoreOptions) {
    const context = new NodeContext(node, log);
    this.#context = context;
    this.#linkWatch = new LinkWatch(context);
    this.#ledger = new Ledger(context);
    this.#ownership = new Ownership(context, this.#ledger, this.#tasks);
    this.#presence = new Presence(context);
    this.#rule = new Rule(context, this.#ledger, this.#ownership, term);
    this.#wants = new Wants(context, this.#ownership, this.#tasks);
    this.#decisions = new Decisions(context, this.#ledger, this.#wants, this.#linkWatch);
    this.#reconciliation = new Reconciliation(context, this.#ledger, this.#linkWatch);
  }

  get state(): ClusterState {
    return this.#context.state;
  }

  snapshot(): Snapshot {
    return this.#context.log.snapshot();
  }

  /** Where the log ends. */
  get position(): Position {
    return this.#context.log.position;
  }

  get role(): Role {
    return this.#context.role;
  }

  get epoch(): Epoch | null {
    return this.#context.epoch;
  }

  /** Is the state that of a living master, this node's own included? */
  get isUpToDate(): boolean {
    return this.#context.isUpToDate;
  }

  /** What placement is told of nodes and links. */
  get measured(): Measurements {
    return this.#context.measured;
  }

  /** The task of a client's request on this node. */
  taskOf(commandId: CommandId): TaskId | null {
    return this.#tasks.find(commandId)?.taskId ?? null;
  }

  /** Requests of this node's clients that have no place now, and wait for one. */
  get placelessTasks(): number {
    return this.#tasks.placeless;
  }

  handle(input: NodeInput, instant: Instant): NodeOutput[] {
    const now = instant.monotonicMs;
    this.#context.outputs = [];
    this.#noticePause(now);
    this.#dispatch(input, instant);
    this.#reconciliation.look(instant);
    this.#ledger.replicate(now);
    this.#decisions.settle(instant);
    this.#presence.pulseIfUrgent(now);
    return this.#context.outputs;
  }

  #dispatch(input: NodeInput, instant: Instant): void {
    const now = instant.monotonicMs;
    switch (input.kind) {
      case 'Tick':
        this.#tick(instant);
        return;
      case 'LinkOpened':
        this.#context.membership.linkOpened(input.peer, input.incarnation, now);
        this.#context.isPulseUrgent = true;
        return;
      case 'LinkClosed':
        this.#context.membership.linkClosed(input.peer);
        this.#context.isPulseUrgent = true;
        return;
      case 'Received':
        this.#received(input.from, input.message, instant);
        return;
      case 'NodeChanged':
        this.#ownership.nodeChanged(input.node, now);
        return;
      case 'Measured':
        this.#context.measured = input.measured;
        return;
      case 'RunnerChanged':
        this.#ownership.runnerChanged(input.runner, now);
        return;
      case 'RunnerGone':
        this.#ownership.runnerGone(input.runnerId);
        return;
      case 'CommandIssued':
        this.#wants.command(input, now);
        this.#decisions.sendWants(instant);
        return;
      case 'TaskArrived':
        this.#wants.task(input, now);
        this.#decisions.sendWants(instant);
        return;
      case 'TaskStreamEnded':
        this.#wants.endTask(input.taskId, input.status, null, now);
        return;
      case 'TaskStreamBroken':
        this.#wants.streamBroken(input, instant);
        this.#decisions.sendWants(instant);
        return;
      case 'TaskExpired':
        this.#wants.expireTask(input.taskId, now);
        return;
      case 'TaskCancelled':
        this.#wants.endTask(input.taskId, 'cancelled', input.fault, now);
        return;
      case 'Flushed':
        this.#context.reign?.flushed(input.index);
        return;
      case 'Leave':
        this.#rule.leave(now);
        return;
    }
  }

  /** When this node itself stood still, nobody is to blame for what it did not hear in that time. */
  #noticePause(now: number): void {
    const pausedMs = this.#lastSeenAt === null ? 0 : now - this.#lastSeenAt;
    this.#lastSeenAt = now;
    if (pausedMs < TIMES.stallMs) return;
    this.#context.membership.forgiveMs(pausedMs);
    this.#linkWatch.forgiveMs(pausedMs);
    if (pausedMs < TIMES.pauseMs) return;
    this.#rule.resumed(pausedMs, now);
    this.#context.isPulseUrgent = true;
  }

  #tick(instant: Instant): void {
    const now = instant.monotonicMs;
    this.#presence.judge(this.#tasks.nodes, now);
    this.#linkWatch.look(now);
    this.#rule.consider(instant);
    this.#wants.leaveLost(instant);
    this.#wants.expire(instant);
    this.#wants.seekPlaces(instant);
    this.#decisions.takeHeld(instant);
    this.#decisions.sendWants(instant);
    this.#ownership.look(now);
    if (this.#presence.isPulseDue(now)) this.#context.isPulseUrgent = true;
  }

  #received(from: NodeId, message: PeerMessage, instant: Instant): void {
    const now = instant.monotonicMs;
    const { self, reign, membership, outputs, state } = this.#context;
    switch (message.kind) {
      case 'Pulse':
        this.#pulseReceived(from, message, instant);
        return;
      case 'Join':
        this.#rule.joined(from, message, now);
        return;
      case 'Need':
        if (message.epoch.nodeId === self) this.#ledger.catchUp(from, message.position, now);
        return;
      case 'Report':
        if (this.#context.actingReign(now) !== null) this.#ledger.append(eventsFor(state, message.facts));
        return;
      case 'Ack':
        reign?.acknowledged(from, message.position);
        return;
      case 'Append':
        if (this.#rule.isFromMaster(message.epoch)) this.#ledger.appended(message, now);
        return;
      case 'Install':
        if (this.#rule.isFromMaster(message.epoch)) this.#ledger.installed(message, now);
        return;
      case 'Command':
        this.#decisions.take(from, message.key, message.command, instant);
        return;
      case 'Answer':
        this.#wants.answered(message.key, message.answer, instant);
        return;
      case 'Relay':
        if (message.to === self) this.#received(message.from, message.message, instant);
        else if (membership.isLinked(message.to)) outputs.push({ kind: 'Send', to: message.to, message });
        return;
    }
  }

  #pulseReceived(from: NodeId, pulse: Pulse, instant: Instant): void {
    const { membership, self } = this.#context;
    const now = instant.monotonicMs;
    const before = membership.heardPulse(from, now);
    if (!membership.pulseReceived(from, pulse, now)) return;
    this.#rule.noteEpoch(pulse.following);
    this.#rule.noteEpoch(pulse.position.epoch);
    // A newcomer, and who does not hear us, shall hear of us before our next turn.
    if (before === null || pulse.missing.includes(self)) this.#context.isPulseUrgent = true;
    const isNews = before?.role !== pulse.role || before.claims.length !== pulse.claims.length;
    const { role } = this.#context;
    if (isNews || role === 'joining' || role === 'electing') this.#rule.consider(instant);
    this.#ledger.catchUpWith(from, pulse, now);
  }
}
