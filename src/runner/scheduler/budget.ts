import { ShoalError } from '../../shared/errors.js';
import type { Task } from './task.js';

export interface BudgetLimits {
  readonly contextTokens: number;
  readonly sequences: number;
  readonly totalCells: number;
  /** Do the choices of a request share the cells of its prompt? Not when the model's sequences cannot be copied. */
  readonly sharesPrompt: boolean;
}

/**
 * Longest answer of each choice, in tokens: what was asked for, as far as context and cells reach. A request that is
 * admitted with cells for it can always finish.
 * @throws {ShoalError} `context_length_exceeded` when the prompt leaves no room for a token, `invalid_request` when
 * there are not enough sequences for the choices or nothing to begin with
 */
export function answerBudget(task: Task, limits: BudgetLimits): number {
  const promptTokens = task.prompt.length;
  if (promptTokens === 0)
    throw new ShoalError('invalid_request', 'The prompt has no tokens: there is nothing to go on from.');
  if (!Number.isInteger(task.choices) || task.choices < 1 || task.choices > limits.sequences) {
    const reason = `${task.choices} choices were asked for; this instance decodes ${limits.sequences} side by side.`;
    throw new ShoalError('invalid_request', reason, { param: 'n' });
  }
  if (task.maxTokens !== null && !(Number.isInteger(task.maxTokens) && task.maxTokens >= 1)) {
    throw new ShoalError('invalid_request', 'max_tokens must be a whole number from 1.', {
      param: 'max_tokens',
    });
  }
  // The last token of an answer needs no cell: it is never computed.
  const promptCells = limits.sharesPrompt ? promptTokens : promptTokens * task.choices;
  const roomInCells = Math.floor((limits.totalCells - promptCells) / task.choices) + 1;
  const room = Math.min(limits.contextTokens - promptTokens, roomInCells);
  if (room < 1) {
    throw new ShoalError(
      'context_length_exceeded',
      `The prompt has ${promptTokens} tokens${task.choices > 1 ? `, with ${task.choices} choices` : ''}; this instance ` +
        `has a context of ${limits.contextTokens} tokens and ${limits.totalCells} cells for all that runs.`,
      { details: { promptTokens, contextTokens: limits.contextTokens } },
    );
  }
  const answerTokens = Math.min(task.maxTokens ?? room, room);
  const known = Math.max(0, ...(task.resume ?? []).map(({ tokens }) => tokens.length));
  if (known > answerTokens) {
    throw new ShoalError(
      'context_length_exceeded',
      `The answer has ${known} tokens already, and this instance has room for ${answerTokens} after the prompt.`,
      { details: { promptTokens, contextTokens: limits.contextTokens } },
    );
  }
  return answerTokens;
}

/** Cells that a request with this answer budget needs at most. */
export function neededCells(task: Task, answerTokens: number, sharesPrompt: boolean): number {
  return task.prompt.length * (sharesPrompt ? 1 : task.choices) + task.choices * (answerTokens - 1);
}
