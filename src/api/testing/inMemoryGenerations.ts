/**
 * A `GenerationService` without an engine, for tests: it draws words from a seed and streams them with the real order
 * of events. Aborts, cancels, stop strings, `maxTokens`, log probabilities, deadlines and a bounded queue behave
 * as in the real one. How a request goes wrong is chosen by the model that it names.
 */
import { setImmediate as nextTick, setTimeout as sleep } from 'node:timers/promises';
import { type Fault, ShoalError, toFault } from '../../shared/errors.js';
import type { GenerationEvent, GenerationRequest, ReasoningMarks } from '../../shared/generation.js';
import type { CommandId, InstanceId, NodeId } from '../../shared/ids.js';
import type { Generation, GenerationService } from '../ports.js';
import { DrawnText } from './drawnText.js';

/** How requests for one model go. */
export type Behaviour =
  | {
      readonly kind: 'speaks';
      /** Pause before each token. */
      readonly tokenDelayMs?: number;
      /** What the tokens say, one after the other and then again, instead of drawn words. */
      readonly tokenTexts?: readonly string[];
      readonly reasoning?: ReasoningMarks;
    }
  /** No instance takes it. */
  | { readonly kind: 'refuses'; readonly fault: Fault }
  /** An instance takes it, and fails after that many tokens; 0 = instead of `started`. */
  | { readonly kind: 'fails'; readonly afterTokens: number; readonly fault: Fault }
  /** Throws what is not coded after that many tokens: a bug. -1 = instead of `started`. */
  | { readonly kind: 'throws'; readonly afterTokens: number; readonly error: Error }
  /** Stops answering after that many tokens, but hears aborts. -1 = instead of `started`. */
  | { readonly kind: 'stalls'; readonly afterTokens: number }
  /** Never answers the assignment, and hears nothing. */
  | { readonly kind: 'dead' }
  /** Ends its events after that many tokens without `finished` or `failed`: a broken contract. */
  | { readonly kind: 'breaks_off'; readonly afterTokens: number };

const DEFAULT_TOKENS = 12;

export class InMemoryGenerations implements GenerationService {
  /** Every request that was received, in order. */
  readonly requests: GenerationRequest[] = [];
  /** Requests that ended by an abort or a cancel. */
  readonly cancelled: CommandId[] = [];
  readonly #running = new Map<CommandId, AbortController>();
  readonly #models: ReadonlyMap<string, Behaviour>;
  readonly #capacity: number;

  /** @param models the behaviour of each known model @param capacity requests side by side; one more gets `queue_full` */
  constructor(models: Readonly<Record<string, Behaviour>>, capacity = Number.POSITIVE_INFINITY) {
    this.#models = new Map(Object.entries(models));
    this.#capacity = capacity;
  }

  get running(): number {
    return this.#running.size;
  }

  async generate(request: GenerationRequest, signal: AbortSignal): Promise<Generation> {
    this.requests.push(request);
    const behaviour = this.#models.get(request.modelId);
    if (behaviour === undefined) {
      throw new ShoalError('model_not_found', `No model "${request.modelId}" is known.`, { param: 'model' });
    }
    if (behaviour.kind === 'refuses') throw ShoalError.fromFault(behaviour.fault);
    if (this.#running.size >= this.#capacity) throw new ShoalError('queue_full');
    if (behaviour.kind === 'dead') return new Promise<never>(() => undefined);
    const own = new AbortController();
    this.#running.set(request.commandId, own);
    // Also when nobody ever reads the events, an abort ends the request.
    const stop = AbortSignal.any([own.signal, signal]);
    stop.addEventListener('abort', () => this.#running.delete(request.commandId), { once: true });
    return {
      instanceId: 'instance-in-memory' as InstanceId,
      nodeId: 'node-in-memory' as NodeId,
      events: this.#events(request, behaviour, stop),
    };
  }

  async cancel(commandId: CommandId): Promise<boolean> {
    const running = this.#running.get(commandId);
    running?.abort(new ShoalError('cancelled'));
    return running !== undefined;
  }

  async *#events(
    request: GenerationRequest,
    behaviour: Behaviour,
    stop: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const deadline = AbortSignal.timeout(request.deadlineMs);
    const ends = AbortSignal.any([stop, deadline]);
    let complete = false;
    try {
      for await (const event of this.#speech(request, behaviour, ends)) {
        // Known before it is told: the reader may leave as soon as it has the last event.
        complete = event.kind === 'finished';
        yield event;
      }
    } catch (thrown) {
      if (behaviour.kind === 'throws' && thrown === behaviour.error) throw thrown;
      complete = !stop.aborted;
      const cause = stop.aborted
        ? new ShoalError('cancelled')
        : deadline.aborted
          ? new ShoalError('deadline_exceeded', 'The request did not end in time.')
          : thrown;
      yield { kind: 'failed', fault: toFault(cause) };
    } finally {
      if (!complete) this.cancelled.push(request.commandId);
      this.#running.delete(request.commandId);
    }
  }

  async *#speech(
    request: GenerationRequest,
    behaviour: Behaviour,
    ends: AbortSignal,
  ): AsyncGenerator<GenerationEvent, void, undefined> {
    const promptTokens = countPromptTokens(request);
    let generatedTokens = 0;
    await checkpoint(behaviour, -1, ends);
    const spoken = behaviour.kind === 'speaks' ? behaviour : undefined;
    const reasoning = spoken?.reasoning === undefined ? {} : { reasoning: spoken.reasoning };
    yield { kind: 'started', promptTokens, cachedPromptTokens: 0, ...reasoning };
    const choices = Array.from(
      { length: request.choices },
      (_, index) => new DrawnText(request, index, spoken?.tokenTexts),
    );
    const limit = request.maxTokens ?? DEFAULT_TOKENS;
    while (choices.some((choice) => !choice.ended)) {
      for (const [index, choice] of choices.entries()) {
        if (choice.ended) continue;
        await checkpoint(behaviour, generatedTokens, ends);
        if (behaviour.kind === 'breaks_off' && generatedTokens >= behaviour.afterTokens) return;
        const { reason, ...delta } = choice.next(limit);
        generatedTokens += 1;
        yield { kind: 'delta', choice: index, ...delta };
        if (reason !== null) yield { kind: 'choice_finished', choice: index, reason };
      }
    }
    yield {
      kind: 'finished',
      stats: {
        promptTokens,
        cachedPromptTokens: 0,
        generatedTokens,
        queueMs: 0,
        prefillMs: 1,
        timeToFirstTokenMs: 1,
        decodeMs: 1,
        peakMemoryBytes: 1,
      },
    };
  }
}

/** A turn of the event loop before each token, and what the behaviour has in mind for this moment. */
async function checkpoint(behaviour: Behaviour, tokens: number, ends: AbortSignal): Promise<void> {
  ends.throwIfAborted();
  if (behaviour.kind === 'fails' && (tokens >= behaviour.afterTokens || behaviour.afterTokens === 0)) {
    throw ShoalError.fromFault(behaviour.fault);
  }
  if (behaviour.kind === 'throws' && tokens >= behaviour.afterTokens) throw behaviour.error;
  if (behaviour.kind === 'stalls' && tokens >= behaviour.afterTokens) await untilAborted(ends);
  const delayMs = behaviour.kind === 'speaks' ? (behaviour.tokenDelayMs ?? 0) : 0;
  if (delayMs > 0) await sleep(delayMs, undefined, { signal: ends });
  else await nextTick();
  ends.throwIfAborted();
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
    if (signal.aborted) resolve();
  });
  signal.throwIfAborted();
}

function countPromptTokens({ input }: GenerationRequest): number {
  if (input.kind === 'tokens') return input.tokens.length;
  const text =
    input.kind === 'text' ? input.text : input.messages.map((message) => message.content).join(' ');
  return text.split(/\s+/).filter((word) => word !== '').length;
}
