/** The conversations of this browser, and the answers that are on their way. */

import { PATIENT_HEADERS } from '../../src/shared/preferWait.js';
import { isUnauthorized, toPageFault } from '../model/api.js';
import { AnswerReader, chatBody } from '../model/chatAnswer.js';
import {
  ask,
  askAgain,
  type ChatMessage,
  type ChatParameters,
  type Conversation,
  changeMessage,
  editQuestion,
  keepNewest,
  newConversation,
  readConversations,
  takeOver,
} from '../model/conversation.js';
import { cluster } from './cluster.svelte.js';
import { newId } from './newId.js';
import { readLocal, writeLocal } from './storage.js';

const NAME = 'shoal.conversations';
/** An answer that grows is written down this often at most, and when it ends. */
const WRITE_MS = 1_000;

class Chats {
  all = $state.raw<readonly Conversation[]>(readConversations(readLocal(NAME)));
  currentId = $state<string | null>(null);
  /** The browser refuses to keep more: what is said now is gone when the page closes. */
  isForgetful = $state(false);
  readonly #answers = new Map<string, AbortController>();
  #writing: ReturnType<typeof setTimeout> | undefined;

  constructor() {
    addEventListener('storage', ({ key, oldValue, newValue }) => {
      if (key === NAME)
        this.all = takeOver(this.all, readConversations(oldValue), readConversations(newValue));
    });
    addEventListener('pagehide', () => this.#write());
  }

  get current(): Conversation | null {
    return this.all.find(({ id }) => id === this.currentId) ?? null;
  }

  open(id: string | null): void {
    this.currentId = id;
  }

  remove(id: string): void {
    for (const message of this.#find(id)?.messages ?? []) this.stop(message.id);
    this.#keep(this.all.filter((conversation) => conversation.id !== id));
    if (this.currentId === id) this.currentId = null;
  }

  /** In the open conversation, or a new one. */
  send(text: string, modelId: string, parameters: ChatParameters): void {
    const now = Date.now();
    const base = this.current ?? newConversation(newId(), modelId, now);
    const ids = { question: newId(), answer: newId() };
    this.#answer(ask({ ...base, modelId, parameters }, text, ids, now), ids.answer);
    this.currentId = base.id;
  }

  regenerate(conversation: Conversation, messageId: string): void {
    const answer = newId();
    this.#answer(askAgain(conversation, messageId, answer, Date.now()), answer);
  }

  edit(conversation: Conversation, messageId: string, text: string): void {
    const ids = { question: newId(), answer: newId() };
    this.#answer(editQuestion(conversation, messageId, text, ids, Date.now()), ids.answer);
  }

  /** Ends an answer; what was said stays. */
  stop(messageId: string): void {
    this.#answers.get(messageId)?.abort();
  }

  setParameters(conversation: Conversation, parameters: ChatParameters): void {
    this.#replace({ ...conversation, parameters });
  }

  #answer(conversation: Conversation, answerId: string): void {
    for (const { id } of this.#find(conversation.id)?.messages ?? []) this.stop(id);
    this.#keep([conversation, ...this.all.filter(({ id }) => id !== conversation.id)]);
    void this.#stream(conversation, answerId);
  }

  async #stream(conversation: Conversation, answerId: string): Promise<void> {
    const controller = new AbortController();
    const { signal } = controller;
    this.#answers.set(answerId, controller);
    const reader = new AnswerReader(performance.now());
    const change = (to: (message: ChatMessage) => ChatMessage) => this.#change(conversation.id, answerId, to);
    const path = '/v1/chat/completions';
    try {
      const onHeaders = (headers: Headers) => change((message) => reader.headers(message, headers));
      const onComment = (text: string) => change((message) => reader.comment(message, text));
      const body = chatBody(conversation);
      const options = { onHeaders, onComment, headers: PATIENT_HEADERS };
      const events = cluster.api.events('POST', path, body, signal, options);
      for await (const event of events) {
        if (event !== null) change((message) => reader.event(message, event.data, performance.now()));
      }
      if (signal.aborted) change((message) => ({ ...message, status: 'stopped' }));
      else if (!reader.isDone) {
        const fault = {
          code: 'unreachable',
          message: 'The answer was cut off before its end.',
          status: null,
        };
        change((message) => (message.status === 'streaming' ? reader.failed(message, fault) : message));
      }
    } catch (error) {
      if (signal.aborted) change((message) => ({ ...message, status: 'stopped' }));
      else change((message) => reader.failed(message, toPageFault(error)));
      if (isUnauthorized(error)) cluster.retryNow();
    } finally {
      this.#answers.delete(answerId);
      this.#write();
    }
  }

  #find(id: string): Conversation | undefined {
    return this.all.find((conversation) => conversation.id === id);
  }

  #change(id: string, messageId: string, to: (message: ChatMessage) => ChatMessage): void {
    const conversation = this.#find(id);
    if (conversation !== undefined) this.#replace(changeMessage(conversation, messageId, to));
  }

  #replace(changed: Conversation): void {
    this.#keep(this.all.map((conversation) => (conversation.id === changed.id ? changed : conversation)));
  }

  #keep(conversations: readonly Conversation[]): void {
    this.all = conversations;
    this.#writing ??= setTimeout(() => this.#write(), WRITE_MS);
  }

  #write(): void {
    clearTimeout(this.#writing);
    this.#writing = undefined;
    this.isForgetful = !writeLocal(NAME, JSON.stringify(keepNewest(this.all)));
  }
}

export const chats = new Chats();
