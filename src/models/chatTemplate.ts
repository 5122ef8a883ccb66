/**
 * Messages to a prompt, by the chat template of the model file (Jinja). What users write never becomes a control
 * token (`controlGuard.ts`), and a hostile template cannot hang the runner (`boundedJinja.ts`). Called by the runner.
 */
import { ShoalError } from '../shared/errors.js';
import type { ChatMessage } from '../shared/generation.js';
import { JinjaTemplate, TemplateRefusal } from './boundedJinja.js';
import { ControlGuard, chooseSentinel } from './controlGuard.js';
import { defaultTemplate } from './defaultTemplates.js';
import type { PromptSegment } from './tokenizer.js';

export interface ChatPrompt {
  /** `tokenizer.chat_template`; null = ChatML when the model has its tokens, else plain text with roles. */
  readonly template: string | null;
  readonly messages: readonly ChatMessage[];
  /** Texts of the tokens that begin and end a text, and of all control tokens (`Tokenizer`). */
  readonly beginText: string;
  readonly endText: string;
  readonly controlTexts: readonly string[];
  /** Whether the model shall think first; templates that do not know the choice ignore it. @default the template's */
  readonly enableThinking?: boolean | undefined;
  /** For templates that tell the date (in UTC). */
  readonly now: Date;
}

/**
 * Encode the segments without adding a begin token: templates write it themselves.
 * @throws ShoalError `template_error`, quoting the template, when it refuses the messages or is broken
 */
export function renderChat(prompt: ChatPrompt): PromptSegment[] {
  const template = prompt.template ?? defaultTemplate(prompt.controlTexts);
  const guard = guardOf(prompt.controlTexts);
  const sentinel = chooseSentinel([
    template,
    prompt.beginText,
    prompt.endText,
    ...prompt.messages.flatMap((message) => [message.content ?? '', message.name ?? '']),
  ]);
  const knowsDeveloper = template.includes('developer');
  const messages = prompt.messages.map(({ role, content, name }) => ({
    role: role === 'developer' && !knowsDeveloper ? 'system' : role,
    content: guard.protect(content ?? '', sentinel),
    ...(name === undefined ? {} : { name: guard.protect(name, sentinel) }),
  }));
  try {
    const rendered = compile(template).render(
      {
        messages,
        add_generation_prompt: true,
        bos_token: prompt.beginText,
        eos_token: prompt.endText,
        // Templates ask whether these are none; they are defined wherever templates come from.
        tools: null,
        documents: null,
        ...(prompt.enableThinking === undefined ? {} : { enable_thinking: prompt.enableThinking }),
      },
      prompt.now,
    );
    return guard.segments(rendered, sentinel);
  } catch (thrown) {
    throw templateError(thrown, sentinel);
  }
}

const QUOTED_CHARACTERS = 500;

function templateError(thrown: unknown, sentinel: string): ShoalError {
  const said = (thrown instanceof Error ? thrown.message : String(thrown)).replaceAll(sentinel, '');
  const quote = said.slice(0, QUOTED_CHARACTERS);
  const message =
    thrown instanceof TemplateRefusal
      ? `The model's chat template refused the messages: ${quote}`
      : `The model's chat template failed: ${quote}`;
  return new ShoalError('template_error', message, { param: 'messages', cause: thrown });
}

/** A runner has one model, and so one template and one list of control texts: what is made of them is kept. */
let latest: { readonly template: string; readonly compiled: JinjaTemplate } | null = null;
const guards = new WeakMap<readonly string[], ControlGuard>();

function compile(template: string): JinjaTemplate {
  if (latest?.template !== template) latest = { template, compiled: new JinjaTemplate(template) };
  return latest.compiled;
}

function guardOf(controlTexts: readonly string[]): ControlGuard {
  let guard = guards.get(controlTexts);
  if (guard === undefined) {
    guard = new ControlGuard(controlTexts);
    guards.set(controlTexts, guard);
  }
  return guard;
}
