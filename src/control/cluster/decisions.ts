/** What a master decides, and when it says so: an answer goes out after the entries that it rests on. */
import type { Fault } from '../../shared/errors.js';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS } from '../../shared/limits.js';
import type { ClusterState } from '../state.js';
import { type ClusterCommand, type CommandAnswer, decide, isDurable } from './commands.js';
import { isOwnerThere } from './facts.js';
import type { Ledger } from './ledger.js';
import type { LinkWatch } from './linkWatch.js';
import type { NodeContext } from './nodeContext.js';
import type { Instant } from './ports.js';
import type { Wants } from './wants.js';

export class Decisions {
  readonly #context: NodeContext;
  readonly #ledger: Ledger;
  readonly #wants: Wants;
  readonly #linkWatch: LinkWatch;
  /** Commands that came while this master, after it stood still, listens whether it still rules. */
  readonly #held = new Map<string, { readonly from: NodeId; readonly command: ClusterCommand }>();

  constructor(context: NodeContext, ledger: Ledger, wants: Wants, linkWatch: LinkWatch) {
    this.#context = context;
    this.#ledger = ledger;
    this.#wants = wants;
    this.#linkWatch = linkWatch;
  }

  /** Sends this node's own wants to the master, or decides them. */
  sendWants(instant: Instant): void {
    const { epoch, reign } = this.#context;
    const now = instant.monotonicMs;
    for (const { key, command } of this.#wants.toSend(now)) {
      if (reign !== null) this.take(this.#context.self, key, command, instant);
      else if (epoch !== null) this.#context.send(epoch.nodeId, { kind: 'Command', key, command }, now);
    }
  }

  take(from: NodeId, key: string, command: ClusterCommand, instant: Instant): void {
    const now = instant.monotonicMs;
    const reign = this.#context.actingReign(now);
    if (reign === null) {
      if (this.#context.reign !== null && this.#held.size < LIMITS.heldCommands)
        this.#held.set(key, { from, command });
      return;
    }
    if (reign.isWaiting(key) || isTooLate(this.#context.state, command)) return;
    const decision = decide(this.#context.state, command, {
      now: instant.wallMs,
      ...this.#context.measured,
      lostLinks: this.#linkWatch.lostLinks(now),
    });
    if ('fault' in decision) {
      this.#answer(from, key, decision, instant);
      return;
    }
    this.#ledger.append(decision.events);
    if (isDurable(command)) {
      const { index } = this.#context.log.position;
      reign.wait({ from, key, answer: decision.answer, index }, now);
      this.#context.outputs.push({ kind: 'Flush', index });
    } else this.#answer(from, key, decision.answer, instant);
  }

  /** Decides what was held, or leaves it to the next master. */
  takeHeld(instant: Instant): void {
    if (this.#held.size === 0) return;
    const isStillListening = this.#context.reign !== null && instant.monotonicMs < this.#context.resumeAt;
    if (isStillListening) return;
    const held = [...this.#held];
    this.#held.clear();
    for (const [key, { from, command }] of held) this.take(from, key, command, instant);
  }

  /** Gives the answers that need not wait any longer. */
  settle(instant: Instant): void {
    const settled = this.#context.reign?.takeSettled(instant.monotonicMs) ?? [];
    for (const { from, key, answer } of settled) this.#answer(from, key, answer, instant);
  }

  /** The log goes first, so that the answer finds a state that has what it speaks of. */
  #answer(
    to: NodeId,
    key: string,
    answer: CommandAnswer | { readonly fault: Fault },
    instant: Instant,
  ): void {
    if (to === this.#context.self) {
      this.#wants.answered(key, answer, instant);
      return;
    }
    this.#ledger.replicate(instant.monotonicMs);
    this.#context.send(to, { kind: 'Answer', key, answer }, instant.monotonicMs);
  }
}

/** The request may have ended with its node meanwhile; a node that is there after all asks again. */
function isTooLate(state: ClusterState, command: ClusterCommand): boolean {
  return command.kind === 'AssignTask' && !isOwnerThere(state, command);
}
