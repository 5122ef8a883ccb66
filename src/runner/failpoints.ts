/** Carries out failpoints in the runner process. Without the variable that its node sets, nothing here does anything. */
import { setFlagsFromString } from 'node:v8';
import {
  FAILPOINT_VARIABLE,
  type Failpoint,
  type FailpointName,
  parseFailpoint,
} from '../shared/failpoints.js';

/** Tokens of a request that carries a failpoint before it acts, so that it acts in mid-stream. */
const TOKENS_BEFORE = 3;
const SMALL_HEAP_MEBIBYTES = 64;
const ARRAY_LENGTH = 1_000_000;

/** Phases of its start that a runner can be held in. */
const HELD_PHASES = ['connecting', 'loading', 'warming_up'] as const;
export type HeldPhase = (typeof HELD_PHASES)[number];

/** What failpoints do to the rest of the process. */
export interface FailpointTargets {
  /** Take no further message, but go on reading. */
  ignoreMessages(): void;
  stopReading(): void;
  /** The compute thread stands still. */
  standStill(): void;
  slowDown(ms: number): void;
}

export class Failpoints {
  readonly #targets: FailpointTargets;
  readonly #isAllowed: boolean;
  readonly #start: Failpoint | null;
  readonly #pending = new Map<number, { readonly failpoint: Failpoint; tokensLeft: number }>();

  constructor(targets: FailpointTargets, environment: NodeJS.ProcessEnv = process.env) {
    const text = environment[FAILPOINT_VARIABLE];
    this.#targets = targets;
    this.#isAllowed = text !== undefined;
    this.#start = text === undefined ? null : parseFailpoint(text);
  }

  /** Was the process started to fail in this way? */
  startsWith(name: FailpointName): boolean {
    return this.#start?.name === name;
  }

  /** In which phase this rank shall stay for good, alive; null when in none. */
  heldPhase(rank: number): HeldPhase | null {
    if (this.#start?.name !== 'runner.hold') return null;
    const [phase, only = String(rank)] = (this.#start.arg ?? '').split('@');
    return only === String(rank) ? (HELD_PHASES.find((held) => held === phase) ?? null) : null;
  }

  /** Remembers what a request carries; it acts once some tokens have come. */
  arm(request: number, failpoint: Failpoint | undefined): void {
    if (failpoint === undefined || !this.#isAllowed) return;
    if (failpoint.name === 'runner.no_ack') this.trigger(failpoint);
    else this.#pending.set(request, { failpoint, tokensLeft: TOKENS_BEFORE });
  }

  /** A request has its next token. */
  tokenCame(request: number): void {
    const pending = this.#pending.get(request);
    if (pending === undefined) return;
    pending.tokensLeft -= 1;
    if (pending.tokensLeft > 0) return;
    this.#pending.delete(request);
    this.trigger(pending.failpoint);
  }

  trigger({ name, arg }: Failpoint): void {
    if (!this.#isAllowed) return;
    switch (name) {
      case 'runner.die':
      case 'runner.die_before_pipe_open':
        process.kill(process.pid, 'SIGKILL');
        return;
      case 'runner.exit0':
        process.exit(0);
        return;
      case 'runner.freeze':
        if (arg === 'compute') this.#targets.standStill();
        else process.kill(process.pid, 'SIGSTOP');
        return;
      case 'runner.no_ack':
        this.#targets.ignoreMessages();
        return;
      case 'runner.block_pipe':
        this.#targets.stopReading();
        return;
      case 'runner.out_of_memory':
        fillHeap();
        return;
      case 'runner.slow_token':
        this.#targets.slowDown(Number(arg ?? 0));
        return;
      case 'runner.fail_loading':
      case 'runner.hold':
        // They are asked for while the model is loaded.
        return;
    }
  }
}

/** V8 ends the process when its heap is full. */
function fillHeap(): void {
  setFlagsFromString(`--max-old-space-size=${SMALL_HEAP_MEBIBYTES}`);
  const hoard: number[][] = [];
  for (;;) hoard.push(new Array<number>(ARRAY_LENGTH).fill(hoard.length));
}
