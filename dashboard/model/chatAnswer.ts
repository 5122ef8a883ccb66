/** One answer on its way: the request's body, and what its stream adds to the message. */

import { LIMITS } from '../../src/shared/limits.js';
import type { PageFault } from './api.js';
import {
  type AnswerFacts,
  type AnswerMove,
  type ChatMessage,
  type Conversation,
  NO_FACTS,
} from './conversation.js';

/** The body of `POST /v1/chat/completions` for the answer that the conversation waits for. */
export function chatBody({ modelId, parameters, messages }: Conversation): Record<string, unknown> {
  const { system, temperature, topP, maxTokens, seed, thinking } = parameters;
  // Answers that failed before a word would be gaps that the model was never asked to fill.
  const said = messages.filter((message) => message.content !== '');
  const given = {
    temperature,
    top_p: topP,
    max_tokens: maxTokens,
    seed,
    enable_thinking: thinking,
  };
  return {
    model: modelId,
    stream: true,
    stream_options: { include_usage: true },
    messages: [
      ...(system.trim() === '' ? [] : [{ role: 'system', content: system }]),
      ...said.map(({ role, content }) => ({ role, content })),
    ],
    ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null)),
  };
}

/** Grows a message by the events of its stream. `now` is in milliseconds of any clock that only goes forward. */
export class AnswerReader {
  readonly #startedAt: number;
  #firstAt: number | null = null;
  #lastAt: number;
  #pieces = 0;
  #isDone = false;
  #facts: AnswerFacts = NO_FACTS;

  constructor(startedAt: number) {
    this.#startedAt = startedAt;
    this.#lastAt = startedAt;
  }

  /** Did the stream end as streams end? One that did not was cut. */
  get isDone(): boolean {
    return this.#isDone;
  }

  headers(message: ChatMessage, headers: Headers): ChatMessage {
    this.#facts = {
      ...this.#facts,
      commandId: headers.get('x-command-id'),
      instanceId: headers.get('x-instance-id'),
      nodeId: headers.get('x-node-id'),
    };
    return { ...message, answer: this.#facts };
  }

  /** @param data of one event */
  event(message: ChatMessage, data: string, now: number): ChatMessage {
    if (data === '[DONE]') {
      this.#isDone = true;
      return message.status === 'failed' ? message : { ...message, status: 'done', answer: this.#facts };
    }
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error !== undefined) return this.failed(message, readFault(chunk.error));
    const choice = chunk.choices?.[0];
    const content = choice?.delta?.content ?? '';
    const reasoning = choice?.delta?.reasoning_content ?? '';
    if (content !== '' || reasoning !== '') this.#piece(now);
    if (choice?.finish_reason === 'length') this.#facts = { ...this.#facts, isCut: true };
    if (chunk.usage != null) this.#measured(chunk.usage.completion_tokens);
    return {
      ...message,
      content: message.content + content,
      reasoning: message.reasoning + reasoning,
      answer: this.#facts,
    };
  }

  /** @param text of a comment of the stream; others than those of moves mean nothing */
  comment(message: ChatMessage, text: string): ChatMessage {
    const move = readMove(text);
    if (move === null) return message;
    const moves = [...this.#facts.moves, move].slice(-LIMITS.keptMoves);
    this.#facts = { ...this.#facts, moves, instanceId: move.to };
    return { ...message, answer: this.#facts };
  }

  failed(message: ChatMessage, fault: PageFault): ChatMessage {
    return { ...message, status: 'failed', fault, answer: this.#facts };
  }

  #piece(now: number): void {
    this.#pieces += 1;
    this.#lastAt = now;
    if (this.#firstAt === null) {
      this.#firstAt = now;
      this.#facts = { ...this.#facts, firstTokenMs: now - this.#startedAt };
    }
    this.#measured(this.#pieces);
  }

  /** The first token is waited for, not generated in a row: the rate is of those behind it. */
  #measured(tokens: number): void {
    const seconds = (this.#lastAt - (this.#firstAt ?? this.#lastAt)) / 1_000;
    const tokensPerSecond = tokens > 1 && seconds > 0 ? (tokens - 1) / seconds : null;
    this.#facts = { ...this.#facts, tokens, tokensPerSecond };
  }
}

const MOVED = 'moved ';

function readMove(comment: string): AnswerMove | null {
  if (!comment.startsWith(MOVED)) return null;
  try {
    const {
      from,
      to,
      reason,
      waited_ms: waited,
    } = JSON.parse(comment.slice(MOVED.length)) as Record<string, unknown>;
    if (typeof from !== 'string' || typeof to !== 'string' || typeof reason !== 'string') return null;
    return { from, to, reason, waitedMs: typeof waited === 'number' ? waited : null };
  } catch {
    // Of another version, or of somebody in between: a note is not worth an answer.
    return null;
  }
}

interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string; readonly reasoning_content?: string };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly code?: unknown; readonly message?: unknown };
}

function readFault({ code, message }: { readonly code?: unknown; readonly message?: unknown }): PageFault {
  return {
    code: typeof code === 'string' ? code : 'internal_error',
    message: typeof message === 'string' ? message : 'The answer failed.',
    status: null,
  };
}
