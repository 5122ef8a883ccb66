import { renderChat } from '../../models/chatTemplate.js';
import { opensReasoning, reasoningTags } from '../../models/reasoning.js';
import type { PromptSegment, Tokenizer } from '../../models/tokenizer.js';
import { ShoalError } from '../../shared/errors.js';
import type {
  GenerationInput,
  GenerationRequest,
  ReasoningMarks,
  ResumedChoice,
} from '../../shared/generation.js';

export interface PromptModel {
  readonly tokenizer: Tokenizer;
  /** Jinja source; null when the model file has none. */
  readonly chatTemplate: string | null;
}

export interface Prompt {
  readonly tokens: Int32Array;
  /** For a chat with a model that thinks. */
  readonly reasoning: ReasoningMarks | null;
}

/** More bytes than any vocabulary's longest token has; the longest in use are runs of some 100 spaces. */
const LONGEST_TOKEN_BYTES = 512;

/**
 * The tokens that a model continues.
 * @throws {ShoalError} `template_error`; `context_length_exceeded` for a text that is so long that cutting it into
 * tokens would only hold up the others; `invalid_request` for a token that the model does not have
 */
export function buildPrompt(
  input: GenerationInput,
  model: PromptModel,
  contextTokens: number,
  now: Date,
): Prompt {
  const { tokenizer } = model;
  switch (input.kind) {
    case 'tokens':
      return { tokens: checkedTokens(input.tokens, tokenizer.vocabularySize), reasoning: null };
    case 'text':
      return { tokens: encode([{ text: input.text, control: false }], true), reasoning: null };
    case 'chat': {
      const segments = renderChat({
        template: model.chatTemplate,
        messages: input.messages,
        beginText: tokenizer.beginText,
        endText: tokenizer.endText,
        controlTexts: tokenizer.controlTexts,
        enableThinking: input.enableThinking,
        now,
      });
      return { tokens: encode(segments, false), reasoning: reasoningMarks(model.chatTemplate, segments) };
    }
  }

  function encode(segments: readonly PromptSegment[], addBegin: boolean): Int32Array {
    const bytes = segments.reduce((sum, segment) => sum + Buffer.byteLength(segment.text), 0);
    if (bytes > contextTokens * LONGEST_TOKEN_BYTES) {
      const reason = `The prompt has ${bytes} bytes, which cannot be cut into ${contextTokens} tokens, the context.`;
      throw new ShoalError('context_length_exceeded', reason, { details: { contextTokens } });
    }
    return tokenizer.encode(segments, addBegin);
  }
}

function reasoningMarks(template: string | null, segments: readonly PromptSegment[]): ReasoningMarks | null {
  const tags = template === null ? null : reasoningTags(template);
  if (tags === null) return null;
  return { ...tags, isOpen: opensReasoning(segments.map(({ text }) => text).join(''), tags) };
}

/**
 * What the client has of each choice, for an answer that goes on here.
 * @throws {ShoalError} `invalid_request` when the choices are others, or a token is none of this model
 */
export function checkedResume(
  { resume, choices }: Pick<GenerationRequest, 'resume' | 'choices'>,
  vocabularySize: number,
): readonly ResumedChoice[] | null {
  if (resume === undefined) return null;
  if (resume.length !== choices) {
    throw new ShoalError('invalid_request', `${choices} choices go on, and ${resume.length} are described.`);
  }
  for (const { tokens } of resume) requireTokens('answer', tokens, vocabularySize);
  return resume;
}

function checkedTokens(tokens: readonly number[], vocabularySize: number): Int32Array {
  requireTokens('prompt', tokens, vocabularySize);
  return Int32Array.from(tokens);
}

function requireTokens(what: string, tokens: readonly number[], vocabularySize: number): void {
  for (const token of tokens) {
    if (Number.isInteger(token) && token >= 0 && token < vocabularySize) continue;
    throw new ShoalError(
      'invalid_request',
      `The ${what} has token ${token}; this model has the tokens 0 to ${vocabularySize - 1}.`,
      { param: 'prompt' },
    );
  }
}
