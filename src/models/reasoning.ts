/**
 * Models that think first write their reasoning between two tags and the answer after it. This tells which tags a
 * model uses, from its chat template, and splits the generated text as it streams. Tags never show, not even in part.
 *
 * Reasoning stands at the very beginning of an answer; a tag that comes later is text like any other, so that an
 * answer may write about tags. White space around the reasoning and before the answer belongs to neither.
 * Models that mark their reasoning by control tokens alone (gpt-oss) have no such tags and are not split.
 */
export interface ReasoningTags {
  readonly open: string;
  readonly close: string;
}

export interface ReasoningSplit {
  readonly reasoning: string;
  readonly content: string;
}

const KNOWN_TAGS: readonly ReasoningTags[] = [
  { open: '<think>', close: '</think>' },
  { open: '<seed:think>', close: '</seed:think>' },
  { open: '[THINK]', close: '[/THINK]' },
  { open: '<thinking>', close: '</thinking>' },
  { open: '<reasoning>', close: '</reasoning>' },
];

/** The tags that a chat template speaks of; null when the model does not think. */
export function reasoningTags(template: string): ReasoningTags | null {
  return KNOWN_TAGS.find(({ open, close }) => template.includes(open) || template.includes(close)) ?? null;
}

/** Does the answer to this prompt begin within the reasoning, because the prompt has opened it already? */
export function opensReasoning(renderedPrompt: string, tags: ReasoningTags): boolean {
  return renderedPrompt.trimEnd().endsWith(tags.open);
}

type State = 'start' | 'reasoning' | 'before_content' | 'content';

export class ReasoningSplitter {
  readonly #tags: ReasoningTags;
  #state: State;
  #held = '';
  #isReasoningEmpty = true;

  /** @param isOpen the prompt ends with the opening tag (`opensReasoning`) */
  constructor(tags: ReasoningTags, isOpen: boolean) {
    this.#tags = tags;
    this.#state = isOpen ? 'reasoning' : 'start';
  }

  push(text: string): ReasoningSplit {
    this.#held += text;
    let reasoning = '';
    if (this.#state === 'start') this.#leaveStart();
    if (this.#state === 'reasoning') reasoning = this.#takeReasoning();
    return { reasoning, content: this.#takeContent() };
  }

  /** The text has ended: what was held back goes where it stands. */
  flush(): ReasoningSplit {
    const rest = this.#held;
    this.#held = '';
    const state = this.#state;
    this.#state = 'content';
    if (state === 'reasoning') {
      const reasoning = (this.#isReasoningEmpty ? rest.trimStart() : rest).trimEnd();
      return { reasoning, content: '' };
    }
    return { reasoning: '', content: state === 'before_content' ? rest.trimStart() : rest };
  }

  #leaveStart(): void {
    const text = this.#held.trimStart();
    if (text.startsWith(this.#tags.open)) {
      this.#state = 'reasoning';
      this.#held = text.slice(this.#tags.open.length);
    } else if (!this.#tags.open.startsWith(text)) {
      this.#state = 'content';
    }
  }

  #takeReasoning(): string {
    if (this.#isReasoningEmpty) this.#held = this.#held.trimStart();
    const { close } = this.#tags;
    const end = this.#held.indexOf(close);
    let reasoning: string;
    if (end >= 0) {
      reasoning = this.#held.slice(0, end).trimEnd();
      this.#held = this.#held.slice(end + close.length);
      this.#state = 'before_content';
    } else {
      const certain = this.#held.length - partialLength(this.#held, close);
      // White space before a possible end is held too: it is dropped when the end comes.
      reasoning = this.#held.slice(0, certain).trimEnd();
      this.#held = this.#held.slice(reasoning.length);
    }
    if (reasoning !== '') this.#isReasoningEmpty = false;
    return reasoning;
  }

  #takeContent(): string {
    if (this.#state === 'before_content') {
      this.#held = this.#held.trimStart();
      if (this.#held !== '') this.#state = 'content';
    }
    if (this.#state !== 'content') return '';
    const content = this.#held;
    this.#held = '';
    return content;
  }
}

/** Length of the longest end of `text` that begins `tag`. */
function partialLength(text: string, tag: string): number {
  for (let length = Math.min(tag.length - 1, text.length); length > 0; length--) {
    if (tag.startsWith(text.slice(text.length - length))) return length;
  }
  return 0;
}
