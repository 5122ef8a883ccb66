/** What this node owns, and how the state comes to know it: its machine, its runners, the requests of its clients. */
import type { RunnerId } from '../../shared/ids.js';
import { TIMES } from '../../shared/limits.js';
import { isTerminal } from '../runnerLife.js';
import type { NodeFact, RunnerFact } from '../state.js';
import { allFacts, eventsFor, factsToReport, NO_FACTS, type OwnFacts } from './facts.js';
import type { Ledger } from './ledger.js';
import type { Facts } from './messages.js';
import type { NodeContext } from './nodeContext.js';
import type { OpenTasks } from './openTasks.js';
import type { RunnerReport } from './ports.js';

export class Ownership {
  readonly #context: NodeContext;
  readonly #ledger: Ledger;
  readonly #tasks: OpenTasks;
  readonly #runners = new Map<RunnerId, RunnerFact>();
  /** Runners that are no more: what they said last is told until the state has no place for it. */
  readonly #gone = new Set<RunnerId>();
  #reports = 0;
  #reportedAt = Number.NEGATIVE_INFINITY;

  constructor(context: NodeContext, ledger: Ledger, tasks: OpenTasks) {
    this.#context = context;
    this.#ledger = ledger;
    this.#tasks = tasks;
  }

  nodeChanged(node: NodeFact, now: number): void {
    this.#context.node = node;
    this.report({ ...NO_FACTS, node }, now);
  }

  runnerChanged(report: RunnerReport, now: number): void {
    this.#reports += 1;
    const runner = { ...report, incarnation: this.#context.node.incarnation, sequence: this.#reports };
    this.#runners.set(runner.runnerId, runner);
    this.#gone.delete(runner.runnerId);
    this.report({ ...NO_FACTS, runners: [runner] }, now);
  }

  runnerGone(runnerId: RunnerId): void {
    this.#gone.add(runnerId);
    this.#forgetGone();
  }

  /** That a runner of a failed instance has ended is waited for: a lost word of it is said again. */
  #forgetGone(): void {
    for (const runnerId of this.#gone) {
      if (this.#context.state.runners.has(runnerId)) continue;
      this.#gone.delete(runnerId);
      this.#runners.delete(runnerId);
    }
  }

  /** To the state, if it can be told now; else the next look finds the difference. */
  report(facts: Facts, now: number): void {
    const { reign, isUpToDate, epoch, state } = this.#context;
    if (reign !== null) this.#ledger.append(eventsFor(state, facts));
    else if (isUpToDate && epoch !== null) {
      this.#context.send(epoch.nodeId, { kind: 'Report', facts }, now);
    }
  }

  /** What the state has wrong. */
  reportDifference(now: number): void {
    const facts = factsToReport(this.#context.state, this.#own());
    if (facts !== null) this.report(facts, now);
  }

  /** Every now and then: a report may have been lost. */
  look(now: number): void {
    if (now - this.#reportedAt < TIMES.reportRetryMs || !this.#context.isUpToDate) return;
    this.#reportedAt = now;
    this.#forgetGone();
    this.#recallForgotten(now);
    this.reportDifference(now);
  }

  /**
   * A master whose log is older may have runners of this life that another one had replaced, and that were forgotten
   * here: nobody else can say that they have ended, which their siblings wait for.
   */
  #recallForgotten(now: number): void {
    const { nodeId, incarnation } = this.#context.node;
    for (const runner of this.#context.state.runners.values()) {
      const isOwn = runner.nodeId === nodeId && runner.incarnation === incarnation && runner.sequence > 0;
      if (!isOwn || isTerminal(runner.status) || this.#runners.has(runner.runnerId)) continue;
      const { runnerId, restarts } = runner;
      this.runnerChanged(
        { runnerId, status: 'stopped', pid: null, restarts, restartAt: null, error: null },
        now,
      );
      this.runnerGone(runnerId);
    }
  }

  /** For a master that may know nothing of it. */
  everything(): Facts {
    return allFacts(this.#context.state, this.#own());
  }

  #own(): OwnFacts {
    return {
      node: this.#context.node,
      runners: this.#runners,
      openTasks: this.#tasks.records,
      endedTasks: this.#tasks.ended,
    };
  }
}
