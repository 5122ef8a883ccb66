import { ShoalError, toFault } from '../../shared/errors.js';
import type { GenerationEvent, GenerationRequest } from '../../shared/generation.js';
import { ENGINE, LIMITS, TIMES } from '../../shared/limits.js';
import type { RunnerLoad, RunnerSettings } from '../../shared/runnerProtocol.js';
import { type RecommendedSampling, resolveSampling } from '../sampler/parameters.js';
import { Scheduler } from '../scheduler/scheduler.js';
import type { Task } from '../scheduler/task.js';
import type { StepMachine } from '../step/contract.js';
import { AnswerWriter } from './answerWriter.js';
import { buildPrompt, checkedResume, type PromptModel } from './prompt.js';

/** A model that is loaded and ready to compute. */
export interface ServableModel extends PromptModel {
  readonly machine: StepMachine;
  readonly recommendedSampling: RecommendedSampling;
}

export interface ModelServerComponents {
  readonly model: ServableModel;
  /** Milliseconds of a clock that never goes back; the same that receipt is measured with. */
  readonly clock: () => number;
  readonly peakMemoryBytes: () => number;
  readonly onStep?: (soleRequest: number | null, rows: number) => void;
}

export interface RequestEvent {
  readonly request: number;
  readonly event: GenerationEvent;
}

/** Serves generation requests with one model: text in, batches of events out, one step at a time. */
export class ModelServer {
  readonly #model: ServableModel;
  readonly #settings: RunnerSettings;
  readonly #scheduler: Scheduler;
  #events: RequestEvent[] = [];

  constructor(components: ModelServerComponents, settings: RunnerSettings) {
    const { model, ...rest } = components;
    this.#model = model;
    this.#settings = settings;
    this.#scheduler = new Scheduler(
      { machine: model.machine, ...rest },
      {
        contextTokens: settings.contextTokens,
        sequences: settings.sequences,
        prefillChunkTokens: settings.prefillChunkTokens,
        queueRequests: LIMITS.runnerQueueRequests,
        cacheEntries: ENGINE.prefixCacheEntries,
        cacheWalks: ENGINE.prefixCacheWalks,
        endTokens: model.tokenizer.endTokens,
      },
    );
  }

  get isIdle(): boolean {
    return this.#scheduler.isIdle;
  }

  get load(): Omit<RunnerLoad, 'residentBytes'> {
    return this.#scheduler.load;
  }

  /** Takes a request. Whatever is wrong with it becomes its `failed` event and nobody else's trouble. */
  generate(request: number, generation: GenerationRequest, receivedAtMs: number): void {
    const emit = (event: GenerationEvent) => this.#events.push({ request, event });
    try {
      this.#scheduler.submit(this.#task(request, generation, receivedAtMs, emit));
    } catch (error) {
      emit({ kind: 'failed', fault: toFault(error) });
    }
  }

  cancel(request: number): void {
    this.#scheduler.cancel(request);
  }

  /** @returns false when there is nothing to do now */
  step(): boolean {
    return this.#scheduler.step();
  }

  /** The events since the last call, in order. */
  takeEvents(): RequestEvent[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  #task(
    request: number,
    generation: GenerationRequest,
    receivedAtMs: number,
    emit: (event: GenerationEvent) => void,
  ): Task {
    const { tokenizer, recommendedSampling } = this.#model;
    const { choices, stop } = generation;
    if (stop.includes('')) {
      throw new ShoalError('invalid_request', 'A stop string must not be empty.', { param: 'stop' });
    }
    if (!(choices >= 1 && choices <= LIMITS.choicesPerRequest)) {
      const reason = `n is ${choices}, and must be from 1 to ${LIMITS.choicesPerRequest}.`;
      throw new ShoalError('invalid_request', reason, { param: 'n' });
    }
    const now = generation.arrivedAt === undefined ? new Date() : new Date(generation.arrivedAt);
    const prompt = buildPrompt(generation.input, this.#model, this.#settings.contextTokens, now);
    const { reasoning } = prompt;
    const resume = checkedResume(generation, tokenizer.vocabularySize);
    return {
      request,
      prompt: prompt.tokens,
      sampling: resolveSampling(generation.sampling, recommendedSampling, tokenizer.vocabularySize),
      maxTokens: generation.maxTokens,
      ignoreEos: generation.ignoreEos,
      topLogprobs: generation.topLogprobs,
      choices,
      resume,
      receivedAtMs,
      deadlineMs: Math.min(generation.deadlineMs, TIMES.requestDeadlineMs),
      answer: new AnswerWriter(tokenizer, emit, { choices, stops: stop, reasoning, resume }),
    };
  }
}
