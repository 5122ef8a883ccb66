import type { GenerationStats } from '../../shared/generation.js';
import type { Progress } from './deadlines.js';
import type { Sequence } from './sequence.js';
import type { Task } from './task.js';

/** A request that has its slots and its share of the cells. */
export class RunningRequest implements Progress {
  readonly task: Task;
  /** Rises with each request that is admitted. */
  readonly admission: number;
  /** One for each choice, in order. */
  readonly sequences: readonly Sequence[];
  readonly admittedAtMs: number;
  firstTokenAtMs: number | null = null;
  lastTokenAtMs: number | null = null;
  cachedPromptTokens = 0;
  hasStarted = false;
  hasEnded = false;
  /** An earlier request that is computing a prefix which this one will take from it. */
  waitsFor: { readonly request: RunningRequest; readonly tokens: number } | null = null;

  constructor(task: Task, admission: number, sequences: readonly Sequence[], admittedAtMs: number) {
    this.task = task;
    this.admission = admission;
    this.sequences = sequences;
    this.admittedAtMs = admittedAtMs;
  }

  get first(): Sequence {
    return this.sequences[0]!;
  }

  stats(nowMs: number, peakMemoryBytes: number): GenerationStats {
    const firstTokenAtMs = this.firstTokenAtMs ?? nowMs;
    return {
      promptTokens: this.task.prompt.length,
      cachedPromptTokens: this.cachedPromptTokens,
      generatedTokens: this.sequences.reduce((sum, sequence) => sum + sequence.answerTokens, 0),
      queueMs: this.admittedAtMs - this.task.receivedAtMs,
      prefillMs: firstTokenAtMs - this.admittedAtMs,
      timeToFirstTokenMs: firstTokenAtMs - this.task.receivedAtMs,
      decodeMs: nowMs - firstTokenAtMs,
      peakMemoryBytes,
    };
  }
}
