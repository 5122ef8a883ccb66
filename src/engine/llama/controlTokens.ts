/**
 * Cuts a prompt at its control tokens, as llama.cpp does when it parses special tokens, but only in the segments that
 * may have any. What lies between two of them is tokenised in one piece, across segments: the tokens of a prompt
 * without control texts in its user text are exactly llama.cpp's.
 */
import type { PromptSegment } from '../../models/tokenizer.js';

export interface ControlToken {
  readonly token: number;
  readonly text: string;
  /** The token swallows white space in front of it, or behind it. */
  readonly stripsLeft: boolean;
  readonly stripsRight: boolean;
}

/** Text without control tokens, or one control token. */
export type PromptPart = string | ControlToken;

/** @param controls longest text first: where two overlap, the longer one is meant */
export function splitAtControls(
  segments: readonly PromptSegment[],
  controls: readonly ControlToken[],
): PromptPart[] {
  const parts: PromptPart[] = [];
  let text = '';
  let stripNext = false;
  for (const segment of mergeAdjacent(segments)) {
    const pieces = segment.control ? splitSegment(segment.text, controls) : [segment.text];
    for (const piece of pieces) {
      if (typeof piece === 'string') {
        text += stripNext && text === '' ? piece.replace(LEADING_SPACE, '') : piece;
        continue;
      }
      if (piece.stripsLeft) text = text.replace(TRAILING_SPACE, '');
      if (text !== '') parts.push(text);
      parts.push(piece);
      text = '';
      stripNext = piece.stripsRight;
    }
  }
  if (text !== '') parts.push(text);
  return parts;
}

/** The white space of C's `isspace`. */
const LEADING_SPACE = /^[ \t\n\v\f\r]+/;
const TRAILING_SPACE = /[ \t\n\v\f\r]+$/;

function mergeAdjacent(segments: readonly PromptSegment[]): PromptSegment[] {
  const merged: PromptSegment[] = [];
  for (const segment of segments) {
    const last = merged.at(-1);
    if (last?.control === segment.control) {
      merged[merged.length - 1] = { text: last.text + segment.text, control: last.control };
    } else {
      merged.push(segment);
    }
  }
  return merged;
}

function splitSegment(text: string, controls: readonly ControlToken[]): PromptPart[] {
  let parts: PromptPart[] = [text];
  for (const control of controls) {
    if (!text.includes(control.text)) continue;
    parts = parts.flatMap((part) => (typeof part === 'string' ? splitText(part, control) : [part]));
  }
  return parts;
}

function splitText(text: string, control: ControlToken): PromptPart[] {
  return text
    .split(control.text)
    .flatMap((piece, index): PromptPart[] => (index === 0 ? [piece] : [control, piece]))
    .filter((part) => part !== '');
}
