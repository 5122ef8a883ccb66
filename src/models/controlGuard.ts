/**
 * Keeps control tokens out of user text. Before a template is rendered, a sentinel (a character that occurs nowhere
 * in the input) is put into every control text within a user's string, and at each end of a string that could become
 * one together with its surroundings. After rendering, a control text with a sentinel inside is the user's, and stays
 * text; one without stands in the template itself.
 *
 * Letters match in either case, for templates that change it. A template that takes a user's string apart and puts it
 * together differently could still build a control text; none that is known does.
 */
import { ShoalError } from '../shared/errors.js';
import type { PromptSegment } from './tokenizer.js';

/** Unicode's private-use area: characters that mean nothing to anybody. */
const SENTINELS = { first: 0xe000, last: 0xf8ff } as const;

/** The character in ASCII JSON, as which a template may write it. */
function jsonEscape(sentinel: string): string {
  return `\\u${sentinel.charCodeAt(0).toString(16)}`;
}

/** A character that stands in none of these texts, nor does its JSON escape. */
export function chooseSentinel(texts: readonly string[]): string {
  for (let code = SENTINELS.first; code <= SENTINELS.last; code++) {
    const sentinel = String.fromCharCode(code);
    const escaped = jsonEscape(sentinel);
    if (!texts.some((text) => text.includes(sentinel) || text.includes(escaped))) return sentinel;
  }
  throw new ShoalError(
    'invalid_request',
    'The messages use every private-use character of Unicode; one must be free.',
    {
      param: 'messages',
    },
  );
}

export class ControlGuard {
  readonly #texts: ReadonlySet<string>;
  readonly #folded: ReadonlySet<string>;
  readonly #prefixes = new Set<string>();
  readonly #suffixes = new Set<string>();
  /** The first characters of control texts, in lower case. */
  readonly #starts: RegExp | null;
  readonly #maximumLength: number;

  constructor(controlTexts: readonly string[]) {
    const texts = controlTexts.filter((text) => text !== '');
    this.#texts = new Set(texts);
    this.#folded = new Set(texts.map(fold));
    this.#maximumLength = texts.reduce((longest, text) => Math.max(longest, text.length), 0);
    for (const text of this.#folded) {
      for (let length = 1; length < text.length; length++) {
        this.#prefixes.add(text.slice(0, length));
        this.#suffixes.add(text.slice(length));
      }
    }
    const starts = new Set([...this.#folded].map((text) => text[0]!));
    const escaped = [...starts].map((start) => `\\u${start.charCodeAt(0).toString(16).padStart(4, '0')}`);
    this.#starts = escaped.length === 0 ? null : new RegExp(`[${escaped.join('')}]`, 'g');
  }

  /** The user's text with the sentinel wherever a control text stands or could come about. */
  protect(text: string, sentinel: string): string {
    const cuts = new Set<number>();
    for (const { start, end } of this.#matches(text, false)) {
      const inside = start + String.fromCodePoint(text.codePointAt(start)!).length;
      cuts.add(inside < end ? inside : start).add(inside);
    }
    this.#addEdgeCuts(text, cuts);
    if (cuts.size === 0) return text;
    const positions = [...cuts].sort((a, b) => a - b);
    return [0, ...positions].map((start, index) => text.slice(start, positions[index])).join(sentinel);
  }

  /** The rendered prompt without sentinels, in segments: the users' control texts as plain text. */
  segments(rendered: string, sentinel: string): PromptSegment[] {
    const pieces = rendered.replaceAll(jsonEscape(sentinel), sentinel).split(sentinel);
    const text = pieces.join('');
    const cuts = new Set<number>();
    let position = 0;
    for (const piece of pieces.slice(0, -1)) {
      position += piece.length;
      cuts.add(position);
    }
    const segments: PromptSegment[] = [];
    let done = 0;
    for (const match of cuts.size === 0 ? [] : this.#matches(text, true)) {
      if (!isCut(match, cuts) || match.end <= done) continue;
      const start = Math.max(match.start, done);
      segments.push({ text: text.slice(done, start), control: true });
      segments.push({ text: text.slice(start, match.end), control: false });
      done = match.end;
    }
    segments.push({ text: text.slice(done), control: true });
    return segments.filter((segment) => segment.text !== '');
  }

  /** Every place where a control text stands, also where they overlap, in order of their beginnings. */
  *#matches(text: string, isExact: boolean): Generator<Range> {
    if (this.#starts === null) return;
    const folded = fold(text);
    for (const { index: start } of folded.matchAll(this.#starts)) {
      // Looking at one character more only while it may still become a control text keeps long texts quick.
      for (let end = start + 1; end <= text.length; end++) {
        const candidate = folded.slice(start, end);
        const isMatch = isExact ? this.#texts.has(text.slice(start, end)) : this.#folded.has(candidate);
        if (isMatch) yield { start, end };
        if (!this.#prefixes.has(candidate)) break;
      }
    }
  }

  /** White space at the ends is passed over: templates trim. */
  #addEdgeCuts(text: string, cuts: Set<number>): void {
    const core = text.trim();
    if (core === '') return;
    const start = text.indexOf(core);
    const end = start + core.length;
    const head = fold(core.slice(0, this.#maximumLength));
    const tail = fold(core.slice(-this.#maximumLength));
    for (let length = 1; length <= Math.min(this.#maximumLength, core.length); length++) {
      if (this.#suffixes.has(head.slice(0, length))) cuts.add(start);
      if (this.#prefixes.has(tail.slice(-length))) cuts.add(end);
    }
    if (core.length < this.#maximumLength && [...this.#folded].some((control) => control.includes(head))) {
      cuts.add(start).add(end);
    }
  }
}

interface Range {
  readonly start: number;
  readonly end: number;
}

/** Lower case with as many characters: of all, only this capital letter becomes longer. */
function fold(text: string): string {
  return text.replaceAll('\u0130', 'i').toLowerCase();
}

/** Has the control text a sentinel inside, or, when it is a single character, at both sides? */
function isCut({ start, end }: Range, cuts: ReadonlySet<number>): boolean {
  for (let position = start + 1; position < end; position++) if (cuts.has(position)) return true;
  return end - start === 1 && cuts.has(start) && cuts.has(end);
}
