import { resolveSampling } from '../sampler/parameters.js';
import { Scheduler, type SchedulerOptions } from '../scheduler/scheduler.js';
import type { Task } from '../scheduler/task.js';
import type { StepMachine } from '../step/contract.js';
import { WholeModel } from '../step/wholeModel.js';
import { FakeEngine, type FakeEngineOptions } from './fakeEngine.js';
import { RecordedAnswer } from './recordedAnswer.js';

export interface RigTask extends Task {
  readonly answer: RecordedAnswer;
}

const VOCABULARY = 24;
const END_TOKEN = VOCABULARY - 1;
const STEP_MS = 10;
const STEP_LIMIT = 100_000;

/** A scheduler on a fake engine and a fake clock, with requests that are easy to write. */
export class SchedulerRig {
  readonly engine: FakeEngine;
  readonly scheduler: Scheduler;
  readonly tasks: RigTask[] = [];
  readonly soleRequests: (number | null)[] = [];
  nowMs = 0;

  constructor(
    engine: Partial<FakeEngineOptions> = {},
    options: Partial<SchedulerOptions> = {},
    machineOf: (engine: FakeEngine) => StepMachine = (whole) => new WholeModel(whole),
  ) {
    this.engine = new FakeEngine({
      vocabularySize: VOCABULARY,
      batchRows: 32,
      sequences: 8,
      cells: 256,
      ...engine,
    });
    this.scheduler = new Scheduler(
      {
        machine: machineOf(this.engine),
        clock: () => this.nowMs,
        peakMemoryBytes: () => 1,
        onStep: (request) => this.soleRequests.push(request),
      },
      {
        contextTokens: 64,
        sequences: 4,
        prefillChunkTokens: 8,
        queueRequests: 64,
        cacheEntries: 4,
        cacheWalks: 256,
        endTokens: new Set([END_TOKEN]),
        ...options,
      },
    );
  }

  task(
    prompt: readonly number[],
    more: Partial<Omit<RigTask, 'prompt' | 'sampling'>> & {
      temperature?: number;
      seed?: number;
      frequencyPenalty?: number;
    } = {},
  ): RigTask {
    const { temperature = 1, seed = 1, frequencyPenalty = 0, ...rest } = more;
    const choices = rest.choices ?? 1;
    return {
      request: this.tasks.length + 1,
      prompt: Int32Array.from(prompt),
      sampling: resolveSampling({ temperature, seed, frequencyPenalty }, {}, VOCABULARY),
      maxTokens: 6,
      ignoreEos: false,
      topLogprobs: null,
      choices,
      resume: null,
      receivedAtMs: this.nowMs,
      deadlineMs: 600_000,
      answer: new RecordedAnswer(choices),
      ...rest,
    };
  }

  submit(...parameters: Parameters<SchedulerRig['task']>): RigTask {
    const task = this.task(...parameters);
    this.scheduler.submit(task);
    this.tasks.push(task);
    return task;
  }

  step(): void {
    this.nowMs += STEP_MS;
    this.scheduler.step();
  }

  /** Steps until nothing is left to do. */
  drain(): void {
    for (let steps = 0; !this.scheduler.isIdle; steps++) {
      if (steps > STEP_LIMIT) throw new Error('the scheduler does not come to an end');
      this.step();
    }
  }
}

/** The tokens that a request gets in a scheduler of its own. */
export function tokensAlone(task: RigTask, options: Partial<SchedulerOptions> = {}): number[][] {
  const rig = new SchedulerRig({ cells: 4096, sequences: 16 }, { sequences: 16, ...options });
  const answer = new RecordedAnswer(task.choices, task.answer.stopTokens);
  rig.scheduler.submit({ ...task, deadlineMs: Number.MAX_SAFE_INTEGER, receivedAtMs: 0, answer });
  rig.drain();
  return answer.tokens;
}
