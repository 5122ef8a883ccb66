/** What many seeds come to. */
import type { SimulationResult } from './simulation.js';

export class Totals {
  readonly #startedAt = performance.now();
  readonly #violations = new Map<string, number>();
  readonly #agreementsMs: number[] = [];
  readonly #failoversMs: number[] = [];
  #seeds = 0;
  #inputs = 0;
  #messages = 0;

  add(result: SimulationResult): void {
    this.#seeds += 1;
    this.#inputs += result.inputs;
    this.#messages += result.messages;
    this.#agreementsMs.push(...result.agreementsMs);
    this.#failoversMs.push(...result.failoversMs);
    if (result.violation === null) return;
    const { invariant } = result.violation;
    this.#violations.set(invariant, (this.#violations.get(invariant) ?? 0) + 1);
  }

  get #violationCount(): number {
    return [...this.#violations.values()].reduce((sum, count) => sum + count, 0);
  }

  progress(count: number): string {
    const seconds = Math.round((performance.now() - this.#startedAt) / 1_000);
    return `${this.#seeds} of ${count} seeds in ${seconds} s, ${this.#violationCount} violations`;
  }

  summary(): string {
    const kinds = [...this.#violations].map(([invariant, count]) => `${invariant} ${count}`).join(', ');
    return [
      this.progress(this.#seeds),
      ...(kinds === '' ? [] : [`violations: ${kinds}`]),
      `${this.#inputs} inputs to cores, ${this.#messages} messages`,
      `agreement after the last fault, ms: ${quantiles(this.#agreementsMs)}`,
      `next master after the death of one, ms: ${quantiles(this.#failoversMs)}`,
    ].join('\n');
  }
}

function quantiles(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => Math.round(sorted[Math.floor(share * (sorted.length - 1))] ?? 0);
  return `p50 ${at(0.5)}, p99 ${at(0.99)}, max ${at(1)} of ${sorted.length}`;
}
