import type { RunningRequest } from './runningRequest.js';
import type { Sequence } from './sequence.js';
import { type Slots, sharedPrefixLength } from './slots.js';
import type { PlannedRows } from './stepRows.js';

/** Tokens of a shared prefix for which it pays to wait until another request has computed them. */
const WORTH_WAITING_TOKENS = 32;

interface Prefill {
  readonly request: RunningRequest;
  readonly sequence: Sequence;
}

/**
 * Shares the prefill chunk of each step among the sequences that still compute their prompts: they take turns, a
 * whole chunk each, so that a short prompt does not wait for the end of a long one, and a long one always gets on.
 */
export class PrefillTurns {
  readonly #slots: Slots;
  #waiting: Prefill[] = [];

  constructor(slots: Slots) {
    this.#slots = slots;
  }

  add(request: RunningRequest): void {
    for (const sequence of request.sequences) {
      if (sequence.isPrefilling) this.#waiting.push({ request, sequence });
    }
  }

  /** Plans at most `chunkTokens` rows. */
  plan(chunkTokens: number): PlannedRows[] {
    this.#waiting = this.#waiting.filter(({ sequence }) => sequence.isPrefilling);
    const planned: PlannedRows[] = [];
    const served: Prefill[] = [];
    let left = chunkTokens;
    for (const prefill of this.#waiting) {
      const { request, sequence } = prefill;
      if (left === 0) break;
      if (!request.hasStarted && !this.#start(request)) continue;
      const missing = sequence.promptTokens - sequence.planned;
      if (missing === 0) continue;
      const count = Math.min(left, missing);
      planned.push({ request, sequence, count, hasOutput: count === missing });
      served.push(prefill);
      left -= count;
    }
    this.#waiting = [...this.#waiting.filter((prefill) => !served.includes(prefill)), ...served];
    return planned;
  }

  /** Takes over what is there of the prompt already. False when it is better to wait for a request before it. */
  #start(request: RunningRequest): boolean {
    const match = this.#slots.bestMatch(request.task.prompt);
    if (this.#shallWait(request, match?.length ?? 0)) return false;
    if (match !== null) {
      this.#slots.copyPrefix(match.slot, request.first.slot, match.length);
      request.first.standAt(match.length);
      request.cachedPromptTokens = match.length;
    }
    request.hasStarted = true;
    request.task.answer.started(request.task.prompt.length, request.cachedPromptTokens);
    return true;
  }

  /** Only requests admitted earlier are waited for, so that the first of them never waits and all get on. */
  #shallWait(request: RunningRequest, matched: number): boolean {
    if (!this.#slots.canShare) return false;
    const known = request.waitsFor;
    if (known?.request.first.isPrefilling && known.request.first.computed < known.tokens) return true;
    request.waitsFor = null;
    const prompt = request.task.prompt;
    for (const { request: other } of this.#waiting) {
      if (other.admission >= request.admission) continue;
      const tokens = sharedPrefixLength(other.task.prompt, prompt, prompt.length - 1);
      if (tokens < matched + WORTH_WAITING_TOKENS || other.first.computed >= tokens) continue;
      if (tokens > (request.waitsFor?.tokens ?? 0)) request.waitsFor = { request: other, tokens };
    }
    return request.waitsFor !== null;
  }
}
