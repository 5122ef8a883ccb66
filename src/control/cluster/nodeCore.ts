/**
 * One node's part in the cluster, without a clock, a socket or a disk: inputs and the time go in, outputs come out,
 * and the same inputs give the same outputs. The shell in `src/cluster/` runs it against the world, the simulator
 * against a virtual one. What it promises is in docs/consistency.md.
 */
import type { Fault } from '../../shared/errors.js';
import type { CommandId, NodeId, RunnerId, TaskId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { ControlEvent } from '../events.js';
import type { LinkFacts } from '../placement/types.js';
import { reconcile } from '../reconcile/reconcile.js';
import type { ClusterState, NodeFact, NodeStatus, RunnerFact } from '../state.js';
import { type ClusterCommand, type CommandAnswer, decide, isDurable } from './commands.js';
import { type ControlLog, isBehind } from './controlLog.js';
import { compareClaims, greatestClaim, isFirstInLine } from './election.js';
import { allFacts, eventsFor, factsToReport, NO_FACTS, type OwnFacts } from './facts.js';
import { Membership } from './membership.js';
import type { Claim, Entry, Facts, PeerMessage, Pulse, Role } from './messages.js';
import { OpenTasks } from './openTasks.js';
import { NO_MASTER_ANSWERED, PendingCommands } from './pendingCommands.js';
import type { Instant, NodeInput, NodeOutput, RunnerReport } from './ports.js';
import { compareEpochs, comparePositions, type Epoch, isSamePosition, type Position } from './position.js';
import { Reign } from './reign.js';

export interface NodeCoreOptions {
  readonly node: NodeFact;
  /** The log as it was when the node last ran, or an empty one. */
  readonly log: ControlLog;
  /** The highest term that this node has ever claimed. */
  readonly term: number;
}

type Received<Kind extends PeerMessage['kind']> = Extract<PeerMessage, { readonly kind: Kind }>;

export class NodeCore {
  readonly #self: NodeId;
  readonly #log: ControlLog;
  readonly #membership: Membership;
  readonly #pending = new PendingCommands();
  readonly #tasks = new OpenTasks();
  readonly #runners = new Map<RunnerId, RunnerFact>();
  readonly #judged = new Map<NodeId, NodeStatus>();
  #node: NodeFact;
  #role: Role = 'joining';
  /** The reign that this node follows, or its own. */
  #epoch: Epoch | null = null;
  #reign: Reign | null = null;
  /** The latest epoch that this node has heard of. */
  #latest: Epoch;
  /** Has the master's log arrived since this node follows it? */
  #isSynced = false;
  #roleSince: number | null = null;
  #lastSeenAt: number | null = null;
  /** A master that stood still does not decide before this. */
  #resumeAt = 0;
  #pulsedAt = Number.NEGATIVE_INFINITY;
  #joinedAt = Number.NEGATIVE_INFINITY;
  #reportedAt = Number.NEGATIVE_INFINITY;
  #isPulseUrgent = false;
  #isUnreconciled = false;
  #reconciledAt = Number.NEGATIVE_INFINITY;
  #links: readonly LinkFacts[] = [];
  #reports = 0;
  #storedEntries = 0;
  #outputs: NodeOutput[] = [];

  constructor(options: NodeCoreOptions) {
    this.#self = options.node.nodeId;
    this.#node = options.node;
    this.#log = options.log;
    this.#latest = { term: options.term, nodeId: this.#self };
    this.#noteEpoch(options.log.position.epoch);
    this.#membership = new Membership(this.#self);
  }

  get state(): ClusterState {
    return this.#log.state;
  }

  /** Where the log ends. */
  get position(): Position {
    return this.#log.position;
  }

  get role(): Role {
    return this.#role;
  }

  get epoch(): Epoch | null {
    return this.#epoch;
  }

  /** Is the state that of a living master, this node's own included? */
  get isUpToDate(): boolean {
    return this.#role === 'master' || (this.#role === 'follower' && this.#isSynced);
  }

  /** The task of a client's request on this node. */
  taskOf(commandId: CommandId): TaskId | null {
    return this.#tasks.find(commandId)?.taskId ?? null;
  }

  handle(input: NodeInput, instant: Instant): NodeOutput[] {
    const now = instant.monotonicMs;
    this.#outputs = [];
    this.#noticePause(now);
    this.#dispatch(input, instant);
    this.#reconcile(instant);
    if (this.#reign !== null) this.#replicate(this.#reign, instant);
    if (this.#isPulseUrgent && now - this.#pulsedAt >= TIMES.pulseGapMs) this.#pulse(now);
    return this.#outputs;
  }

  #dispatch(input: NodeInput, instant: Instant): void {
    const now = instant.monotonicMs;
    switch (input.kind) {
      case 'Tick':
        return this.#tick(instant);
      case 'LinkOpened':
        this.#membership.linkOpened(input.peer, input.incarnation, now);
        this.#isPulseUrgent = true;
        return;
      case 'LinkClosed':
        this.#membership.linkClosed(input.peer);
        this.#isPulseUrgent = true;
        return;
      case 'Received':
        return this.#received(input.from, input.message, instant);
      case 'NodeChanged':
        this.#node = input.node;
        return this.#report({ ...NO_FACTS, node: input.node });
      case 'LinksMeasured':
        this.#links = input.links;
        return;
      case 'RunnerChanged':
        return this.#runnerChanged(input.runner);
      case 'RunnerGone':
        this.#runners.delete(input.runnerId);
        return;
      case 'CommandIssued':
        this.#pending.add({ key: input.key, command: input.command, deadlineAt: now + input.timeoutMs });
        return this.#sendCommands(instant);
      case 'TaskArrived':
        return this.#taskArrived(input, instant);
      case 'TaskStreamEnded':
        return this.#endTask(input.taskId, input.status, null);
      case 'TaskCancelled':
        return this.#endTask(input.taskId, 'cancelled', input.fault);
      case 'Flushed':
        this.#reign?.flushed(input.index);
        return;
      case 'Leave':
        this.#changeRole('leaving', null, 'it was asked to', now);
        return;
    }
  }

  #noticePause(now: number): void {
    const pausedMs = this.#lastSeenAt === null ? 0 : now - this.#lastSeenAt;
    this.#lastSeenAt = now;
    if (pausedMs < TIMES.pauseMs) return;
    this.#membership.forgiveMs(pausedMs);
    if (this.#roleSince !== null) this.#roleSince += pausedMs;
    this.#resumeAt = now + TIMES.resumeMs;
    this.#isPulseUrgent = true;
  }

  #tick(instant: Instant): void {
    const now = instant.monotonicMs;
    this.#judgePeers(now);
    this.#considerRole(instant);
    for (const nodeId of this.#tasks.nodes) {
      if (nodeId !== this.#self && this.#membership.status(nodeId, now) === 'dead') this.#nodeLost(nodeId);
    }
    for (const task of this.#tasks.expired(now)) {
      const message = `the request did not end within ${task.deadlineMs} ms`;
      this.#endTask(task.taskId, 'failed', { code: 'deadline_exceeded', message });
    }
    for (const { key, command } of this.#pending.takeExpired(now)) {
      this.#commandEnded(key, command, { fault: NO_MASTER_ANSWERED }, instant);
    }
    this.#sendCommands(instant);
    if (now - this.#reportedAt >= TIMES.reportRetryMs && this.isUpToDate) {
      this.#reportedAt = now;
      const facts = factsToReport(this.state, this.#ownFacts());
      if (facts !== null) this.#report(facts);
    }
    if (now - this.#pulsedAt >= TIMES.pulseMs) this.#isPulseUrgent = true;
  }

  // Who is there

  #judgePeers(now: number): void {
    const nodeIds = new Set([...this.state.nodes.keys(), ...this.#membership.linked(), ...this.#tasks.nodes]);
    if (this.#epoch !== null) nodeIds.add(this.#epoch.nodeId);
    nodeIds.delete(this.#self);
    this.#membership.judge(nodeIds, this.#epoch, now);
    for (const nodeId of nodeIds) {
      const status = this.#membership.status(nodeId, now);
      if ((this.#judged.get(nodeId) ?? 'alive') === status) continue;
      this.#judged.set(nodeId, status);
      this.#isPulseUrgent = true;
      this.#outputs.push({ kind: 'PeerJudged', nodeId, status });
    }
    for (const nodeId of this.#judged.keys()) {
      if (nodeIds.has(nodeId)) continue;
      this.#judged.delete(nodeId);
      this.#membership.forget(nodeId);
    }
  }

  #pulse(now: number): void {
    this.#isPulseUrgent = false;
    this.#pulsedAt = now;
    const counter = this.#membership.countPulse(now);
    const pulse: Omit<Pulse, 'echo'> = {
      kind: 'Pulse',
      incarnation: this.#node.incarnation,
      counter,
      role: this.#role,
      following: this.#epoch,
      claims: this.#claims(now),
      position: this.#log.position,
      missing: [...this.state.nodes.keys()].filter(
        (nodeId) => nodeId !== this.#self && !this.#membership.isHeard(nodeId, now),
      ),
    };
    for (const to of this.#membership.linked()) {
      this.#outputs.push({
        kind: 'Send',
        to,
        message: { ...pulse, echo: this.#membership.echoFor(to) },
      });
    }
  }

  /** The reigns that this node knows of at first hand. */
  #claims(now: number): Claim[] {
    const own = this.#ownClaim();
    const claims = own === null ? [] : [own];
    for (const [nodeId, pulse] of this.#membership.heardPulses(now)) {
      const claim = pulse.claims.find(({ epoch }) => epoch.nodeId === nodeId);
      if (claim !== undefined) claims.push(claim);
    }
    return claims;
  }

  #ownClaim(): Claim | null {
    if (this.#reign === null) return null;
    const { epoch, members, since } = this.#reign;
    return { epoch, members, since };
  }

  // Who rules

  #considerRole(instant: Instant): void {
    const now = instant.monotonicMs;
    this.#roleSince ??= now;
    const inRoleMs = now - this.#roleSince;
    switch (this.#role) {
      case 'joining':
        if (this.#followGreatestClaim('it starts', instant) || inRoleMs < TIMES.joinGraceMs) return;
        return this.#changeRole('electing', null, 'nobody that it hears rules', now);
      case 'electing':
        if (this.#followGreatestClaim('it looks for a master', instant)) return;
        if (inRoleMs >= TIMES.electionDelayMs && this.#isNext(inRoleMs, now)) this.#takeRule(instant);
        return;
      case 'follower':
        return this.#considerMaster(inRoleMs, instant);
      case 'master':
        return this.#considerReign(instant);
      case 'leaving':
        return;
    }
  }

  #isNext(inRoleMs: number, now: number): boolean {
    const pulses = this.#membership.heardPulses(now);
    const position = this.#log.position;
    return isFirstInLine({ nodeId: this.#self, position }, pulses) || inRoleMs >= TIMES.electionPatienceMs;
  }

  #takeRule(instant: Instant): void {
    const epoch = this.#nextEpoch();
    this.#reign = new Reign(epoch, instant.wallMs);
    this.#changeRole('master', epoch, 'nobody that it hears has a newer log', instant.monotonicMs);
    this.#beginEpoch(epoch);
  }

  #nextEpoch(): Epoch {
    const epoch = { term: this.#latest.term + 1, nodeId: this.#self };
    this.#latest = epoch;
    this.#outputs.push({ kind: 'StoreTerm', term: epoch.term });
    return epoch;
  }

  #beginEpoch({ term }: Epoch): void {
    this.#append([{ kind: 'MasterElected', nodeId: this.#self, term }]);
    const facts = factsToReport(this.state, this.#ownFacts());
    if (facts !== null) this.#report(facts);
  }

  /** Follows the greatest reign that can be reached, if there is one. */
  #followGreatestClaim(why: string, instant: Instant): boolean {
    const now = instant.monotonicMs;
    const claim = greatestClaim(this.#membership.heardPulses(now), ({ epoch }) =>
      this.#canFollow(epoch, now),
    );
    if (claim !== null) this.#follow(claim.epoch, why, instant);
    return claim !== null;
  }

  #canFollow({ nodeId }: Epoch, now: number): boolean {
    if (nodeId === this.#self) return false;
    return (
      this.#membership.isHeard(nodeId, now) || this.#membership.relayTo(nodeId, this.#epoch, now) !== null
    );
  }

  #follow(epoch: Epoch, why: string, instant: Instant): void {
    this.#reign = null;
    this.#isSynced = false;
    this.#changeRole('follower', epoch, why, instant.monotonicMs);
    this.#join(instant);
  }

  #join({ monotonicMs }: Instant): void {
    if (this.#epoch === null) return;
    this.#joinedAt = monotonicMs;
    const facts = allFacts(this.state, this.#ownFacts());
    this.#send(
      this.#epoch.nodeId,
      { kind: 'Join', epoch: this.#epoch, position: this.#log.position, facts },
      monotonicMs,
    );
  }

  #considerMaster(inRoleMs: number, instant: Instant): void {
    const now = instant.monotonicMs;
    const master = (this.#epoch as Epoch).nodeId;
    const status = this.#membership.status(master, now);
    const heard = this.#membership.heardPulse(master, now);
    const hasResigned = heard !== null && heard.role !== 'master';
    const isSilent = !this.#isSynced && inRoleMs >= TIMES.followTimeoutMs;
    if (status === 'dead' || hasResigned || isSilent) {
      const why = status === 'dead' ? 'the master is gone' : 'the master does not rule any more';
      if (!isSilent && this.#followGreatestClaim(why, instant)) return;
      return this.#changeRole('electing', null, why, now);
    }
    if (!this.#isSynced && now - this.#joinedAt >= TIMES.reportRetryMs) this.#join(instant);
  }

  #considerReign(instant: Instant): void {
    const now = instant.monotonicMs;
    const reign = this.#reign as Reign;
    this.#countFollowers(reign, now);
    const own = this.#ownClaim() as Claim;
    const rival = greatestClaim(this.#membership.heardPulses(now), ({ epoch }) =>
      this.#canFollow(epoch, now),
    );
    if (rival !== null && compareClaims(rival, own) > 0) {
      return this.#follow(rival.epoch, 'it met a greater cluster', instant);
    }
    if (now < this.#resumeAt) return;
    this.#outrank(reign);
    const events: ControlEvent[] = [];
    for (const { nodeId, status } of this.state.nodes.values()) {
      const judged = nodeId === this.#self ? 'alive' : this.#membership.status(nodeId, now);
      // Only a node that follows is alive again: until it has joined, its facts are those of before.
      if (judged === status || (judged === 'alive' && !this.#isMember(reign, nodeId))) continue;
      events.push({ kind: 'NodeStatusChanged', nodeId, status: judged, at: instant.wallMs });
    }
    this.#append(events);
  }

  #isMember(reign: Reign, nodeId: NodeId): boolean {
    return nodeId === this.#self || reign.isFollowedBy(nodeId);
  }

  /** Who follows, by its own word; a word that came late is put right by the next one. */
  #countFollowers(reign: Reign, now: number): void {
    for (const nodeId of [...reign.followers]) {
      if (this.#membership.status(nodeId, now) === 'dead') reign.remove(nodeId);
    }
    for (const [nodeId, { following, position }] of this.#membership.heardPulses(now)) {
      const isFollowing = following?.nodeId === this.#self;
      if (!isFollowing) reign.remove(nodeId);
      else if (!reign.isFollowedBy(nodeId) && this.#log.entriesAfter(position) !== null) {
        this.#catchUp(nodeId, { position }, now);
      }
    }
  }

  /** Goes on in a later epoch when a later one was heard of: what is appended now is newer than what was there. */
  #outrank(reign: Reign): void {
    if (compareEpochs(this.#latest, reign.epoch) <= 0) return;
    const epoch = this.#nextEpoch();
    reign.renew(epoch);
    this.#epoch = epoch;
    this.#isPulseUrgent = true;
    this.#beginEpoch(epoch);
  }

  #noteEpoch(epoch: Epoch | null): void {
    if (epoch !== null && compareEpochs(epoch, this.#latest) > 0) this.#latest = epoch;
  }

  #changeRole(role: Role, epoch: Epoch | null, why: string, now: number): void {
    this.#role = role;
    this.#epoch = epoch;
    this.#roleSince = now;
    if (role !== 'master') this.#reign = null;
    this.#isPulseUrgent = true;
    this.#outputs.push({ kind: 'RoleChanged', role, epoch, why });
  }

  // What is decided

  /** The rule as it may be used now: not while a master that stood still listens whether it still has it. */
  #actingReign(now: number): Reign | null {
    return now < this.#resumeAt ? null : this.#reign;
  }

  #append(events: readonly ControlEvent[]): void {
    if (this.#reign === null) return;
    for (const event of events) this.#entryAdded(this.#log.append(this.#reign.epoch, event));
  }

  /** Looks at what should run after every change that may bear on it, and every so often. */
  #reconcile({ monotonicMs: now, wallMs }: Instant): void {
    const reign = this.#actingReign(now);
    if (reign === null || this.state.metaInstances.size === 0) return;
    if (!this.#isUnreconciled && now - this.#reconciledAt < TIMES.reconcileMs) return;
    this.#reconciledAt = now;
    this.#append(reconcile({ state: this.state, now: wallMs, links: this.#links, reign: reign.epoch }));
    this.#isUnreconciled = false;
  }

  #entryAdded(entry: Entry): void {
    if (entry.event.kind !== 'TaskAssigned' && entry.event.kind !== 'TaskFinished')
      this.#isUnreconciled = true;
    this.#outputs.push({ kind: 'StoreEntry', entry }, { kind: 'Applied', entry });
    this.#storedEntries += 1;
    if (this.#storedEntries >= LIMITS.entriesPerSnapshot) this.#storeSnapshot();
  }

  #storeSnapshot(): void {
    this.#storedEntries = 0;
    this.#outputs.push({ kind: 'StoreSnapshot', snapshot: this.#log.snapshot() });
  }

  #replicate(reign: Reign, instant: Instant): void {
    const now = instant.monotonicMs;
    for (const [nodeId, message] of reign.news(this.#log)) this.#send(nodeId, message, now);
    for (const { from, key, answer } of reign.takeSettled(now)) this.#answer(from, key, answer, instant);
  }

  #decide(from: NodeId, key: string, command: ClusterCommand, instant: Instant): void {
    const now = instant.monotonicMs;
    const reign = this.#actingReign(now);
    if (reign === null || reign.isWaiting(key)) return;
    const decision = decide(this.state, command, { now: instant.wallMs, links: this.#links });
    if ('fault' in decision) {
      this.#answer(from, key, decision, instant);
      return;
    }
    this.#append(decision.events);
    if (isDurable(command)) {
      const { index } = this.#log.position;
      reign.wait({ from, key, answer: decision.answer, index }, now);
      this.#outputs.push({ kind: 'Flush', index });
    } else {
      this.#answer(from, key, decision.answer, instant);
    }
  }

  /** The log goes first, so that the answer finds a state that has what it speaks of. */
  #answer(
    to: NodeId,
    key: string,
    answer: CommandAnswer | { readonly fault: Fault },
    instant: Instant,
  ): void {
    const now = instant.monotonicMs;
    if (to === this.#self) {
      const pending = this.#pending.take(key);
      if (pending !== null) this.#commandEnded(key, pending.command, answer, instant);
      return;
    }
    if (this.#reign !== null) this.#replicate(this.#reign, instant);
    this.#send(to, { kind: 'Answer', key, answer }, now);
  }

  // What this node owns

  #ownFacts(): OwnFacts {
    return {
      node: this.#node,
      runners: this.#runners,
      openTasks: this.#tasks.records,
      endedTasks: this.#tasks.ended,
    };
  }

  #runnerChanged(report: RunnerReport): void {
    this.#reports += 1;
    const runner = { ...report, incarnation: this.#node.incarnation, sequence: this.#reports };
    this.#runners.set(runner.runnerId, runner);
    this.#report({ ...NO_FACTS, runners: [runner] });
  }

  /** To the state, if it can be told now; else the next tick that can finds the difference. */
  #report(facts: Facts): void {
    if (this.#reign !== null) this.#append(eventsFor(this.state, facts));
    else if (this.isUpToDate && this.#epoch !== null) {
      this.#send(this.#epoch.nodeId, { kind: 'Report', facts }, this.#lastSeenAt ?? 0);
    }
  }

  // What this node wants

  #sendCommands(instant: Instant): void {
    const now = instant.monotonicMs;
    if (this.#epoch === null || !this.isUpToDate) return;
    if (this.#reign !== null && this.#actingReign(now) === null) return;
    for (const { key, command } of this.#pending.toSend(this.#epoch, now)) {
      if (this.#reign !== null) this.#decide(this.#self, key, command, instant);
      else this.#send(this.#epoch.nodeId, { kind: 'Command', key, command }, now);
    }
  }

  #commandEnded(
    key: string,
    command: ClusterCommand,
    answer: CommandAnswer | { readonly fault: Fault },
    instant: Instant,
  ): void {
    if (command.kind !== 'AssignTask') {
      this.#outputs.push({ kind: 'CommandEnded', key, answer });
    } else if ('fault' in answer) {
      this.#endTask(command.taskId, 'failed', answer.fault);
    } else if (answer.kind === 'Assignment') {
      const task = this.#tasks.assigned(answer, this.#node, instant.wallMs);
      if (task !== null) this.#outputs.push({ kind: 'TaskPlaced', assignment: answer });
    }
  }

  #taskArrived(input: Extract<NodeInput, { kind: 'TaskArrived' }>, instant: Instant): void {
    const now = instant.monotonicMs;
    const { taskId, commandId, modelId, deadlineMs } = input;
    const deadlineAt = now + deadlineMs;
    this.#tasks.add({ taskId, commandId, modelId, deadlineAt, deadlineMs, nodeId: null, record: null });
    const unreachable = [...this.state.nodes.keys()].filter(
      (nodeId) => nodeId !== this.#self && !this.#membership.isLinked(nodeId),
    );
    this.#pending.add({
      key: taskId,
      deadlineAt: Math.min(deadlineAt, now + TIMES.assignDeadlineMs),
      command: {
        kind: 'AssignTask',
        taskId,
        commandId,
        modelId,
        apiNodeId: this.#self,
        apiIncarnation: this.#node.incarnation,
        unreachable,
      },
    });
    this.#sendCommands(instant);
  }

  #endTask(taskId: TaskId, status: 'complete' | 'failed' | 'cancelled', fault: Fault | null): void {
    if (this.#tasks.get(taskId) === null) return;
    this.#pending.take(taskId);
    const instanceId = this.#tasks.end(taskId, status);
    if (fault !== null) this.#outputs.push({ kind: 'TaskEnded', taskId, fault });
    if (instanceId !== null) {
      this.#report({ ...NO_FACTS, finishedTasks: [{ taskId, instanceId, status }] });
    }
  }

  #nodeLost(nodeId: NodeId): void {
    const name = this.state.nodes.get(nodeId)?.name ?? nodeId;
    for (const { taskId } of this.#tasks.on(nodeId)) {
      this.#endTask(taskId, 'failed', {
        code: 'node_lost',
        message: `node ${name} (${nodeId}), which served the request, is gone`,
      });
    }
  }

  // What is said

  #send(to: NodeId, message: PeerMessage, now: number): void {
    const relay = this.#membership.isHeard(to, now) ? null : this.#membership.relayTo(to, this.#epoch, now);
    if (relay === null || relay === to) this.#outputs.push({ kind: 'Send', to, message });
    else {
      const relayed: PeerMessage = { kind: 'Relay', from: this.#self, to, message };
      this.#outputs.push({ kind: 'Send', to: relay, message: relayed });
    }
  }

  #received(from: NodeId, message: PeerMessage, instant: Instant): void {
    const now = instant.monotonicMs;
    switch (message.kind) {
      case 'Pulse':
        return this.#pulseReceived(from, message, instant);
      case 'Join':
        return this.#joinReceived(from, message, now);
      case 'Need':
        if (message.epoch.nodeId === this.#self) this.#catchUp(from, message, now);
        return;
      case 'Report':
        if (this.#actingReign(now) !== null) this.#append(eventsFor(this.state, message.facts));
        return;
      case 'Ack':
        this.#reign?.acknowledged(from, message.position);
        return;
      case 'Append':
        return this.#appendReceived(message, now);
      case 'Install':
        return this.#installReceived(message, now);
      case 'Command':
        return this.#decide(from, message.key, message.command, instant);
      case 'Answer': {
        const pending = this.#pending.take(message.key);
        if (pending !== null) this.#commandEnded(pending.key, pending.command, message.answer, instant);
        return;
      }
      case 'Relay':
        if (message.to === this.#self) return this.#received(message.from, message.message, instant);
        if (this.#membership.isLinked(message.to)) {
          this.#outputs.push({ kind: 'Send', to: message.to, message });
        }
        return;
    }
  }

  #pulseReceived(from: NodeId, pulse: Pulse, instant: Instant): void {
    const now = instant.monotonicMs;
    const before = this.#membership.heardPulse(from, now);
    if (!this.#membership.pulseReceived(from, pulse, now)) return;
    this.#noteEpoch(pulse.following);
    this.#noteEpoch(pulse.position.epoch);
    // A newcomer, and who does not hear us, shall hear of us before our next turn.
    if (before === null || pulse.missing.includes(this.#self)) this.#isPulseUrgent = true;
    const isNews = before?.role !== pulse.role || before.claims.length !== pulse.claims.length;
    if (isNews || this.#role === 'joining' || this.#role === 'electing') this.#considerRole(instant);
    this.#catchUpWith(from, pulse, now);
  }

  /** The pulse of the master, or of another follower when the master is not heard, shows what was missed. */
  #catchUpWith(from: NodeId, { following, position }: Pulse, now: number): void {
    const epoch = this.#epoch;
    if (this.#role !== 'follower' || epoch === null || following?.nodeId !== epoch.nodeId) return;
    if (from !== epoch.nodeId && this.#membership.isHeard(epoch.nodeId, now)) return;
    if (!this.#isSynced || !isBehind(this.#log.position, position)) return;
    if (comparePositions(position, this.#log.position) < 0) return;
    this.#need(now);
  }

  #need(now: number): void {
    const epoch = this.#epoch as Epoch;
    this.#send(epoch.nodeId, { kind: 'Need', epoch, position: this.#log.position }, now);
  }

  #joinReceived(from: NodeId, message: Received<'Join'>, now: number): void {
    const reign = this.#actingReign(now);
    if (reign === null || message.epoch.nodeId !== this.#self) return;
    this.#noteEpoch(message.position.epoch);
    this.#outrank(reign);
    this.#append(eventsFor(this.state, message.facts));
    this.#catchUp(from, message, now);
  }

  #catchUp(nodeId: NodeId, { position }: Pick<Received<'Join' | 'Need'>, 'position'>, now: number): void {
    if (this.#reign === null) return;
    this.#send(nodeId, this.#reign.catchUp(nodeId, position, this.#log), now);
  }

  /** Is this from the master that we follow? A later epoch of it is welcome, an earlier one is late. */
  #isFromMaster(epoch: Epoch): boolean {
    if (this.#role !== 'follower' || this.#epoch === null || epoch.nodeId !== this.#epoch.nodeId)
      return false;
    if (epoch.term < this.#epoch.term) return false;
    this.#epoch = epoch;
    this.#noteEpoch(epoch);
    return true;
  }

  #appendReceived(message: Received<'Append'>, now: number): void {
    if (!this.#isFromMaster(message.epoch)) return;
    const acceptance = this.#log.accept(message.previous, message.entries, (entry) =>
      this.#entryAdded(entry),
    );
    if (acceptance !== 'accepted') return this.#missed(now);
    this.#synced();
    if (message.acknowledge) this.#acknowledge(message.epoch, now);
  }

  /** Who has not joined yet asks by joining: the master must know first what else there is in this log. */
  #missed(now: number): void {
    if (this.#isSynced) this.#need(now);
  }

  #installReceived({ epoch, replaces, snapshot }: Received<'Install'>, now: number): void {
    if (!this.#isFromMaster(epoch)) return;
    if (!isSamePosition(replaces, this.#log.position)) return this.#missed(now);
    const isNewer = comparePositions(snapshot.position, this.#log.position) > 0;
    if (!isNewer && !isSamePosition(snapshot.position, this.#log.position)) return;
    if (isNewer) {
      this.#log.install(snapshot);
      this.#outputs.push({ kind: 'StateReplaced' });
      this.#storeSnapshot();
    }
    this.#synced();
    this.#acknowledge(epoch, now);
  }

  /** Told as a change of the role, so that whoever follows the state looks again: it can be trusted from now on. */
  #synced(): void {
    if (this.#isSynced) return;
    this.#isSynced = true;
    this.#outputs.push({ kind: 'RoleChanged', role: 'follower', epoch: this.#epoch, why: 'it has the log' });
  }

  #acknowledge({ nodeId }: Epoch, now: number): void {
    this.#send(nodeId, { kind: 'Ack', position: this.#log.position }, now);
  }
}
