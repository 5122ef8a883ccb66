/**
 * One generation, in the words that all protocols share. `api/` turns a client's request into a
 * `GenerationRequest`; the runner answers with a stream of `GenerationEvent`s; `api/` turns these into its answer.
 * Plain data: it crosses process and wire.
 */
import type { Fault } from './errors.js';
import type { Failpoint } from './failpoints.js';
import type { CommandId, ModelId } from './ids.js';

export interface ChatMessage {
  readonly role: 'system' | 'developer' | 'user' | 'assistant' | 'tool';
  readonly content: string | null;
  readonly name?: string;
}

/** What the model continues. */
export type GenerationInput =
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[]; readonly enableThinking?: boolean }
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'tokens'; readonly tokens: readonly number[] };

/**
 * How tokens are drawn. A field that is absent takes the model's own recommendation (`general.sampling.*` of
 * its file) and else the neutral value, which changes nothing.
 */
export interface SamplingParameters {
  /** 0 = greedy. @default 1 */
  readonly temperature?: number;
  /** Keep the k likeliest tokens; 0 = all. @default 0 */
  readonly topK?: number;
  /** Keep the smallest set of tokens with this much probability. @default 1 */
  readonly topP?: number;
  /** Keep tokens with at least this share of the likeliest token's probability. @default 0 */
  readonly minP?: number;
  /** Divides (or multiplies, when negative) the logits of tokens in prompt and answer. @default 1 */
  readonly repetitionPenalty?: number;
  /** Subtracted from a token's logit for each time it stands in the answer. @default 0 */
  readonly frequencyPenalty?: number;
  /** Subtracted once from the logit of every token that stands in the answer. @default 0 */
  readonly presencePenalty?: number;
  /** Added to the logits of these tokens: pairs of token id and bias. */
  readonly logitBias?: readonly (readonly [token: number, bias: number])[];
  /** Same seed, same text. @default drawn by the API node, and so fixed for the whole request */
  readonly seed: number;
}

export interface GenerationRequest {
  readonly commandId: CommandId;
  readonly modelId: ModelId;
  readonly input: GenerationInput;
  readonly sampling: SamplingParameters;
  /** Most tokens of one choice; null = until the model ends or the context is full. */
  readonly maxTokens: number | null;
  readonly stop: readonly string[];
  /** Never end before `maxTokens`: the end-of-text token cannot be drawn. */
  readonly ignoreEos: boolean;
  /** Alternatives to report for each token; null = no log probabilities. */
  readonly topLogprobs: number | null;
  /** Choices that share the prompt. Choice i draws with seed + i. */
  readonly choices: number;
  /** When the request came, in ms since the epoch, for a template that tells the date. @default the runner's own time */
  readonly arrivedAt?: number;
  /**
   * How far each choice has come on a runner that was lost, in their order: this one goes on there, and says nothing
   * again of what stands here.
   */
  readonly resume?: readonly ResumedChoice[];
  /** A fault to cause while this request runs; tests only. */
  readonly failpoint?: Failpoint;
  /** Milliseconds that the whole request may take, counted by each process from its receipt. */
  readonly deadlineMs: number;
}

/** What the client has of one choice. */
export interface ResumedChoice {
  readonly tokens: readonly number[];
  /** Why it has ended; null while it goes on. */
  readonly reason: FinishReason | null;
}

export interface TokenLogprob {
  readonly token: string;
  /** UTF-8 bytes of the token, which need not be whole characters. */
  readonly bytes: readonly number[];
  /** Natural logarithm of the probability at temperature 1 before any filter. */
  readonly logprob: number;
}

export interface GeneratedTokenLogprob extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

/** `stop`: the model ended, or a stop string was met. `length`: `maxTokens` or the context was reached. */
export type FinishReason = 'stop' | 'length';

export interface GenerationStats {
  readonly promptTokens: number;
  /** Prompt tokens that the prefix cache had already. */
  readonly cachedPromptTokens: number;
  /** Tokens of all choices. */
  readonly generatedTokens: number;
  readonly queueMs: number;
  readonly prefillMs: number;
  /** From receipt by the runner to the first token. */
  readonly timeToFirstTokenMs: number;
  readonly decodeMs: number;
  readonly peakMemoryBytes: number;
  /** How often the answer went on at another place. @default 0 */
  readonly moves?: number;
}

/** The tags around reasoning at the beginning of a choice's text. */
export interface ReasoningMarks {
  readonly open: string;
  readonly close: string;
  /** The prompt has opened the reasoning already: the text begins within it. */
  readonly isOpen: boolean;
}

/**
 * The answer as a stream: `started` (the prompt was accepted), any number of `delta`s, one `choice_finished` for
 * each choice, then exactly one of `finished` and `failed`.
 */
export type GenerationEvent =
  | {
      readonly kind: 'started';
      readonly promptTokens: number;
      readonly cachedPromptTokens: number;
      /** For a chat with a model that thinks: how to tell reasoning from answer in the text of each choice. */
      readonly reasoning?: ReasoningMarks;
    }
  | {
      readonly kind: 'delta';
      readonly choice: number;
      /** Whole characters only; may be empty while a character or a possible stop string is incomplete. */
      readonly text: string;
      readonly tokens: readonly number[];
      readonly logprobs?: readonly GeneratedTokenLogprob[];
    }
  | { readonly kind: 'choice_finished'; readonly choice: number; readonly reason: FinishReason }
  | { readonly kind: 'finished'; readonly stats: GenerationStats }
  | { readonly kind: 'failed'; readonly fault: Fault };
