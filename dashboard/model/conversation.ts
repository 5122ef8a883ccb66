/** Conversations as plain data, and what can be done with them. Nothing is changed in place. */
import { LIMITS } from '../../src/shared/limits.js';
import type { PageFault } from './api.js';

export interface Conversation {
  readonly id: string;
  readonly modelId: string;
  readonly parameters: ChatParameters;
  readonly messages: readonly ChatMessage[];
  /** Milliseconds since the epoch. */
  readonly changedAt: number;
}

/** Null = the model's own default. */
export interface ChatParameters {
  readonly system: string;
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly maxTokens: number | null;
  readonly seed: number | null;
  readonly thinking: boolean | null;
}

export interface ChatMessage {
  readonly id: string;
  readonly role: 'user' | 'assistant';
  readonly content: string;
  /** What a thinking model thought first. */
  readonly reasoning: string;
  readonly status: 'streaming' | 'done' | 'stopped' | 'failed';
  readonly fault: PageFault | null;
  readonly answer: AnswerFacts | null;
}

/** What is known of how an answer came about. */
export interface AnswerFacts {
  readonly commandId: string | null;
  readonly instanceId: string | null;
  readonly nodeId: string | null;
  readonly firstTokenMs: number | null;
  readonly tokens: number | null;
  readonly tokensPerSecond: number | null;
  /** It ended because no more tokens were allowed. */
  readonly isCut: boolean;
  /** Where it went on after the place before was lost, oldest first. */
  readonly moves: readonly AnswerMove[];
}

/** The instance that served an answer was lost, and another one, or the same when it was back, went on with it. */
export interface AnswerMove {
  readonly from: string;
  readonly to: string;
  /** A code of docs/errors.md. */
  readonly reason: string;
  readonly waitedMs: number | null;
}

export const DEFAULT_PARAMETERS: ChatParameters = {
  system: '',
  temperature: null,
  topP: null,
  maxTokens: null,
  seed: null,
  thinking: null,
};

export const NO_FACTS: AnswerFacts = {
  commandId: null,
  instanceId: null,
  nodeId: null,
  firstTokenMs: null,
  tokens: null,
  tokensPerSecond: null,
  isCut: false,
  moves: [],
};

const TITLE_CHARACTERS = 48;

export function newConversation(id: string, modelId: string, now: number): Conversation {
  return { id, modelId, parameters: DEFAULT_PARAMETERS, messages: [], changedAt: now };
}

export function titleOf({ messages }: Conversation): string {
  const first =
    messages
      .find(({ role }) => role === 'user')
      ?.content.trim()
      .replace(/\s+/g, ' ') ?? '';
  if (first === '') return 'New conversation';
  return first.length > TITLE_CHARACTERS ? `${first.slice(0, TITLE_CHARACTERS - 1)}…` : first;
}

/** Appends a question and the empty place of its answer. */
export function ask(
  conversation: Conversation,
  text: string,
  ids: { readonly question: string; readonly answer: string },
  now: number,
): Conversation {
  const question: ChatMessage = { ...blank(ids.question, 'user'), content: text, status: 'done' };
  const messages = [...conversation.messages, question, blank(ids.answer, 'assistant')];
  return { ...conversation, messages, changedAt: now };
}

/** The answer with this id, and all behind it, make place for a new answer. */
export function askAgain(
  conversation: Conversation,
  messageId: string,
  answerId: string,
  now: number,
): Conversation {
  const place = conversation.messages.findIndex(({ id }) => id === messageId);
  if (place < 0) return conversation;
  const messages = [...conversation.messages.slice(0, place), blank(answerId, 'assistant')];
  return { ...conversation, messages, changedAt: now };
}

/** Everything from this question on makes place for another wording of it. */
export function editQuestion(
  conversation: Conversation,
  messageId: string,
  text: string,
  ids: { readonly question: string; readonly answer: string },
  now: number,
): Conversation {
  const place = conversation.messages.findIndex(({ id }) => id === messageId);
  if (place < 0) return conversation;
  return ask({ ...conversation, messages: conversation.messages.slice(0, place) }, text, ids, now);
}

export function changeMessage(
  conversation: Conversation,
  messageId: string,
  change: (message: ChatMessage) => ChatMessage,
): Conversation {
  const messages = conversation.messages.map((message) =>
    message.id === messageId ? change(message) : message,
  );
  return { ...conversation, messages };
}

export function isStreaming({ messages }: Conversation): boolean {
  return messages.some(({ status }) => status === 'streaming');
}

function blank(id: string, role: ChatMessage['role']): ChatMessage {
  return { id, role, content: '', reasoning: '', status: 'streaming', fault: null, answer: null };
}

/** The newest ones that may be kept, newest first. */
export function keepNewest(conversations: readonly Conversation[]): Conversation[] {
  const kept: Conversation[] = [];
  let characters = 0;
  for (const conversation of [...conversations].sort((a, b) => b.changedAt - a.changedAt)) {
    characters += JSON.stringify(conversation).length;
    // One that is too long on its own stays as long as it is the newest: it is being used.
    if (
      kept.length > 0 &&
      (kept.length >= LIMITS.keptConversations || characters > LIMITS.keptConversationCharacters)
    )
      break;
    kept.push(conversation);
  }
  return kept;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What the browser kept. What is not a conversation is left out; an answer that was still coming is marked. */
export function readConversations(text: string | null): Conversation[] {
  let value: unknown;
  try {
    value = JSON.parse(text ?? '[]');
  } catch {
    // Written by something else, or cut: there is nothing in it that could be shown.
    return [];
  }
  if (!Array.isArray(value)) return [];
  return value.flatMap((item) => readConversation(item) ?? []);
}

function readConversation(value: unknown): Conversation | null {
  if (!isObject(value) || typeof value.id !== 'string' || typeof value.modelId !== 'string') return null;
  if (!Array.isArray(value.messages) || typeof value.changedAt !== 'number') return null;
  const parameters = isObject(value.parameters) ? value.parameters : {};
  return {
    id: value.id,
    modelId: value.modelId,
    changedAt: value.changedAt,
    parameters: { ...DEFAULT_PARAMETERS, ...(parameters as Partial<ChatParameters>) },
    messages: value.messages.flatMap((message) => readMessage(message) ?? []),
  };
}

function readMessage(value: unknown): ChatMessage | null {
  if (!isObject(value) || typeof value.id !== 'string' || typeof value.content !== 'string') return null;
  if (value.role !== 'user' && value.role !== 'assistant') return null;
  const kept = { ...blank(value.id, value.role), ...value } as ChatMessage;
  const answer = isObject(value.answer) ? { ...NO_FACTS, ...value.answer } : null;
  const message = { ...kept, answer };
  return message.status === 'streaming' ? { ...message, status: 'stopped' } : message;
}

/**
 * What another tab of the browser wrote down, taken over: what is new or newer there, and without what it removed.
 * @param before what stood there until now; what is gone since then was removed
 */
export function takeOver(
  mine: readonly Conversation[],
  before: readonly Conversation[],
  after: readonly Conversation[],
): Conversation[] {
  const theirs = new Map(after.map((conversation) => [conversation.id, conversation]));
  const removed = new Set(before.map(({ id }) => id).filter((id) => !theirs.has(id)));
  const own = new Set(mine.map(({ id }) => id));
  const kept = mine.flatMap((conversation) => {
    // An answer that comes in here is known nowhere else.
    if (isStreaming(conversation)) return [conversation];
    if (removed.has(conversation.id)) return [];
    const other = theirs.get(conversation.id);
    return [other !== undefined && other.changedAt > conversation.changedAt ? other : conversation];
  });
  return [...kept, ...after.filter(({ id }) => !own.has(id))].sort((a, b) => b.changedAt - a.changedAt);
}
