/** Conversations: what is sent, what a stream makes of an answer, what is kept. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LIMITS } from '../../src/shared/limits.js';
import { AnswerReader, chatBody } from './chatAnswer.js';
import {
  ask,
  askAgain,
  type ChatMessage,
  type Conversation,
  changeMessage,
  editQuestion,
  isStreaming,
  keepNewest,
  newConversation,
  readConversations,
  takeOver,
  titleOf,
} from './conversation.js';

function talk(...texts: readonly string[]): Conversation {
  let conversation = newConversation('c', 'tiny', 1);
  texts.forEach((text, turn) => {
    conversation = ask(conversation, text, { question: `q${turn}`, answer: `a${turn}` }, turn + 2);
    conversation = changeMessage(conversation, `a${turn}`, (message) => ({
      ...message,
      content: `re: ${text}`,
      status: 'done',
    }));
  });
  return conversation;
}

function contents({ messages }: Conversation): string[] {
  return messages.map(({ content }) => content);
}

test('a question brings the place of its answer, and only what was said is sent', () => {
  const conversation = ask(talk('one'), 'two', { question: 'q1', answer: 'a1' }, 9);
  assert.ok(isStreaming(conversation));
  assert.deepEqual(chatBody(conversation), {
    model: 'tiny',
    stream: true,
    stream_options: { include_usage: true },
    messages: [
      { role: 'user', content: 'one' },
      { role: 'assistant', content: 're: one' },
      { role: 'user', content: 'two' },
    ],
  });
});

test('parameters are sent when they are set, and only then', () => {
  const { parameters, ...rest } = talk('one');
  const body = chatBody({
    ...rest,
    parameters: { ...parameters, system: 'Be brief.', temperature: 0, seed: 7 },
  });
  assert.deepEqual([body.temperature, body.seed, 'top_p' in body], [0, 7, false]);
  assert.deepEqual((body.messages as unknown[])[0], { role: 'system', content: 'Be brief.' });
});

test('regenerating and editing drop what came behind', () => {
  const conversation = talk('one', 'two', 'three');
  assert.deepEqual(contents(askAgain(conversation, 'a1', 'new', 9)), ['one', 're: one', 'two', '']);
  const edited = editQuestion(conversation, 'q1', 'TWO', { question: 'x', answer: 'y' }, 9);
  assert.deepEqual(contents(edited), ['one', 're: one', 'TWO', '']);
  assert.equal(askAgain(conversation, 'unknown', 'new', 9), conversation);
});

const chunk = (delta: object, finish: string | null = null) =>
  JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] });

function blank(): ChatMessage {
  return ask(newConversation('c', 'm', 0), 'q', { question: 'q', answer: 'a' }, 0).messages[1] as ChatMessage;
}

test('an answer grows, and tells first token, rate and who served it', () => {
  const reader = new AnswerReader(1_000);
  let message = reader.headers(blank(), new Headers({ 'x-node-id': 'n', 'x-command-id': 'id' }));
  message = reader.event(message, chunk({ role: 'assistant', content: '' }), 1_050);
  message = reader.event(message, chunk({ reasoning_content: 'hm' }), 1_100);
  message = reader.event(message, chunk({ content: 'Hel' }), 1_200);
  message = reader.event(message, chunk({ content: 'lo' }), 1_600);
  message = reader.event(message, chunk({}, 'length'), 1_601);
  message = reader.event(message, JSON.stringify({ choices: [], usage: { completion_tokens: 6 } }), 1_602);
  assert.equal(reader.isDone, false);
  message = reader.event(message, '[DONE]', 1_603);
  assert.ok(reader.isDone);
  assert.deepEqual([message.content, message.reasoning, message.status], ['Hello', 'hm', 'done']);
  assert.deepEqual(message.answer, {
    commandId: 'id',
    instanceId: null,
    nodeId: 'n',
    firstTokenMs: 100,
    tokens: 6,
    tokensPerSecond: 10,
    isCut: true,
    moves: [],
  });
});

test('R60: an answer that was moved says from where to where, why, and how long it stood still', () => {
  const reader = new AnswerReader(0);
  const note = (to: string) =>
    `moved ${JSON.stringify({ from: 'i1', to, reason: 'node_lost', waited_ms: 900 })}`;
  let message = reader.headers(blank(), new Headers({ 'x-instance-id': 'i1' }));
  message = reader.event(message, chunk({ content: 'Once' }), 5);
  message = reader.comment(message, note('i2'));
  message = reader.event(message, chunk({ content: ' upon' }), 905);
  assert.deepEqual(message.answer?.moves, [{ from: 'i1', to: 'i2', reason: 'node_lost', waitedMs: 900 }]);
  assert.equal(message.answer?.instanceId, 'i2');
  for (const other of ['keep-alive', 'moved', 'moved {', 'moved {"from":1}', 'moved null', '']) {
    assert.equal(reader.comment(message, other), message, other);
  }
  for (let move = 0; move < 2 * LIMITS.keptMoves; move += 1)
    message = reader.comment(message, note(`j${move}`));
  assert.equal(message.answer?.moves.length, LIMITS.keptMoves);
});

test('R5: an error within the stream keeps what was said, with its code, also behind [DONE]', () => {
  const reader = new AnswerReader(0);
  let message = reader.event(blank(), chunk({ content: 'Once' }), 5);
  message = reader.event(message, '{"error":{"code":"runner_failed","message":"It ended: SIGKILL"}}', 6);
  message = reader.event(message, '[DONE]', 7);
  assert.deepEqual([message.content, message.status], ['Once', 'failed']);
  assert.deepEqual(message.fault, { code: 'runner_failed', message: 'It ended: SIGKILL', status: null });
});

test('what the browser kept is read back; what is none is left out, what was coming is marked', () => {
  const conversation = ask(talk('one'), 'two', { question: 'q1', answer: 'a1' }, 9);
  const [back] = readConversations(JSON.stringify([conversation, { id: 3 }, null, 'x']));
  assert.equal(back?.messages.at(-1)?.status, 'stopped');
  assert.deepEqual(back?.messages.slice(0, 3), conversation.messages.slice(0, 3));
  for (const text of [null, '', '{', '{}', '7', 'null']) assert.deepEqual(readConversations(text), []);
});

test('the newest conversations are kept, within bounds', () => {
  const many = Array.from({ length: 80 }, (_, at) => ({ ...talk('hello'), id: `c${at}`, changedAt: at }));
  const kept = keepNewest(many);
  assert.equal(kept.length, LIMITS.keptConversations);
  assert.equal(kept[0]?.id, 'c79');
  const huge = { ...talk('x'.repeat(3_000_000)), changedAt: 100 };
  assert.deepEqual(keepNewest([...many, huge]), [huge]);
});

test('a title is the first question, on one line', () => {
  assert.equal(titleOf(talk('  What\n is  this? ')), 'What is this?');
  assert.equal(titleOf(newConversation('c', 'm', 0)), 'New conversation');
  assert.equal(titleOf(talk('x'.repeat(100))).length, 48);
});

test('two tabs: what the other one adds, changes and removes is taken over, but for what comes in here', () => {
  const [old, busy, gone] = ['old', 'busy', 'gone'].map((id) => ({ ...talk(id), id, changedAt: 1 }));
  assert.ok(old && busy && gone);
  const coming = ask(busy, 'more', { question: 'x', answer: 'y' }, 2);
  const newer = { ...talk('old', 'more'), id: 'old', changedAt: 5 };
  const added = { ...talk('added'), id: 'added', changedAt: 4 };
  const merged = takeOver([old, coming, gone], [old, busy, gone], [newer, added]);
  assert.deepEqual(merged, [newer, added, coming]);
  assert.deepEqual(takeOver([old], [], []), [old], 'what the other tab never had is not removed by it');
});
