/** What happens in a made-up cluster, without an end: requests come and end, runners report, nodes falter. */
import type { TestApi } from '../../src/api/testing/testApi.js';

/** Of a hundred happenings, so many are of each kind; the rest are requests. */
const RUNNERS_PER_CENT = 10;
const NODES_PER_CENT = 4;
const RUNNING_REQUESTS = 40;

interface Counts {
  readonly nodes: number;
  readonly instances: number;
}

/** Tells the followers of `api` events that change its made-up state as well. */
export class Happenings {
  readonly #api: TestApi;
  readonly #counts: Counts;
  readonly #running: { readonly task_id: string; readonly instance_id: string }[] = [];
  readonly #sequences = new Map<string, number>();
  #told = 0;

  constructor(api: TestApi, counts: Counts) {
    this.#api = api;
    this.#counts = counts;
  }

  get told(): number {
    return this.#told;
  }

  happen(): void {
    this.#told += 1;
    const turn = this.#told % 100;
    const index = Number(this.#api.state.index) + 1;
    const event =
      turn < NODES_PER_CENT
        ? this.#nodeFalters()
        : turn < NODES_PER_CENT + RUNNERS_PER_CENT
          ? this.#runnerReports()
          : this.#requestMoves();
    this.#api.state = { ...this.#api.state, index };
    for (const follower of this.#api.followers) follower({ index, event });
  }

  /** Suspect, and alive again with the next. */
  #nodeFalters() {
    const number = 1 + (Math.floor(this.#told / 2) % (this.#counts.nodes - 1));
    return {
      kind: 'NodeStatusChanged',
      node_id: `n${number}`,
      status: this.#told % 2 === 0 ? 'suspect' : 'alive',
      at: new Date().toISOString(),
    };
  }

  #runnerReports() {
    const instance = this.#told % this.#counts.instances;
    const runnerId = `i${instance}-r0`;
    const sequence = (this.#sequences.get(runnerId) ?? 1) + 1;
    this.#sequences.set(runnerId, sequence);
    return {
      kind: 'RunnerStatusChanged',
      runner: {
        runner_id: runnerId,
        incarnation: 1,
        sequence,
        pid: 1,
        status: 'ready',
        restarts: 0,
        restart_at: null,
      },
    };
  }

  #requestMoves() {
    const oldest = this.#running.length >= RUNNING_REQUESTS ? this.#running.shift() : undefined;
    if (oldest !== undefined) return { kind: 'TaskFinished', ...oldest, status: 'complete' };
    const task = { task_id: `t${this.#told}`, instance_id: `i${this.#told % this.#counts.instances}` };
    this.#running.push(task);
    const command = {
      command_id: `chatcmpl-${this.#told}`,
      kind: 'chat',
      status: 'running',
      api_node_id: 'n0',
    };
    return { kind: 'TaskAssigned', task: { ...task, ...command, created_at: new Date().toISOString() } };
  }
}
