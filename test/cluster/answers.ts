/** Answers as a client sees them, for comparison: text, log probabilities and end of each choice, usage, notes of moves. */
import assert from 'node:assert/strict';
import type { NodeProcess } from '../support/nodeProcess.js';
import { MODEL, PATIENTLY, post, question } from './scene.js';

export interface Answer {
  readonly choices: readonly {
    readonly text: string;
    readonly logprobs: readonly unknown[];
    readonly reason: string | null;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
  readonly fault: { readonly code: string; readonly message: string } | null;
  /** Where it ran first. */
  readonly instanceId: string;
  readonly moves: readonly { readonly from: string; readonly to: string; readonly reason: string }[];
  /** Chunks with text. */
  readonly pieces: number;
  readonly isDone: boolean;
}

/** Told after each chunk with text. */
type OnPiece = (pieces: number, instanceId: string, commandId: string) => Promise<void>;

const MOST_TOKENS = 48;
/** Makes an answer last for a second and a half, so that something can happen in the middle of it. */
const SLOWLY = { 'x-shoal-failpoint': 'runner.slow_token=30' };

interface Choice {
  readonly index: number;
  readonly delta?: { readonly content?: string };
  readonly message?: { readonly content: string };
  readonly logprobs: { readonly content: readonly unknown[] } | null;
  readonly finish_reason: string | null;
}

interface Body {
  readonly error?: { readonly code: string; readonly message: string };
  readonly choices?: readonly Choice[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number } | null;
}

/** Asks a question that the model knows the answer of by heart. */
export async function ask(
  node: NodeProcess,
  more: object = {},
  onPiece: OnPiece = async () => undefined,
  signal?: AbortSignal,
  headers: Record<string, string> = SLOWLY,
): Promise<Answer> {
  const body = { ...question, max_tokens: MOST_TOKENS, stream: true, ...more };
  const withUsage = body.stream ? { stream_options: { include_usage: true } } : {};
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...PATIENTLY, ...headers },
    body: JSON.stringify({ ...body, ...withUsage }),
    signal: signal ?? AbortSignal.timeout(60_000),
  });
  const gathered = new Gathered(response.headers.get('x-instance-id') ?? '');
  const commandId = response.headers.get('x-command-id') ?? '';
  if (!body.stream || !response.ok) {
    gathered.take((await response.json()) as Body);
    return gathered.answer(true);
  }
  let [rest, isDone] = ['', false];
  const texts = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream());
  for await (const text of texts) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line === 'data: [DONE]') isDone = true;
      else if (line.startsWith(': moved ')) gathered.moves.push(JSON.parse(line.slice(': moved '.length)));
      else if (line.startsWith('data: ') && gathered.take(JSON.parse(line.slice('data: '.length)) as Body)) {
        await onPiece(gathered.pieces, gathered.instanceId, commandId);
      }
    }
  }
  return gathered.answer(isDone);
}

/** The same without a disturbance. @param headers none: it need not last */
export async function whole(
  node: NodeProcess,
  more: object,
  headers: Record<string, string> = SLOWLY,
): Promise<Answer> {
  const answer = await ask(node, more, undefined, undefined, headers);
  assert.equal(answer.fault, null, JSON.stringify(answer.fault));
  assert.ok(answer.isDone);
  return answer;
}

class Gathered {
  readonly instanceId: string;
  readonly moves: Answer['moves'][number][] = [];
  readonly #choices: { text: string; logprobs: unknown[]; reason: string | null }[] = [];
  #usage: Answer['usage'] = null;
  #fault: Answer['fault'] = null;
  pieces = 0;

  constructor(instanceId: string) {
    this.instanceId = instanceId;
  }

  /** Was there text in it? */
  take({ error, choices = [], usage }: Body): boolean {
    if (error !== undefined) this.#fault = error;
    if (usage != null) {
      const { prompt_tokens, completion_tokens } = usage;
      this.#usage = { prompt_tokens, completion_tokens };
    }
    let hasText = false;
    for (const { index, delta, message, logprobs, finish_reason: reason } of choices) {
      this.#choices[index] ??= { text: '', logprobs: [], reason: null };
      const choice = this.#choices[index];
      const text = delta?.content ?? message?.content ?? '';
      choice.text += text;
      choice.logprobs.push(...(logprobs?.content ?? []));
      choice.reason = reason ?? choice.reason;
      hasText ||= text !== '';
    }
    if (hasText) this.pieces += 1;
    return hasText;
  }

  answer(isDone: boolean): Answer {
    const { instanceId, moves, pieces } = this;
    return {
      choices: this.#choices,
      usage: this.#usage,
      fault: this.#fault,
      instanceId,
      moves,
      pieces,
      isDone,
    };
  }
}

/** One instance on this node that nobody makes again; its id, when it is ready. */
export async function placeOn(asked: NodeProcess, node: NodeProcess): Promise<string> {
  const response = await post(asked, '/place_instance', { model_id: MODEL, node_ids: [node.nodeId] });
  const text = await response.text();
  assert.equal(response.status, 202, text);
  const { instance_id: id } = JSON.parse(text) as { instance_id: string };
  await asked.until('serving', ({ instances }) => instances[id]?.status === 'ready');
  return id;
}

export async function removeInstance(asked: NodeProcess, id: string): Promise<void> {
  const response = await fetch(`${asked.url}/instance/${id}`, { method: 'DELETE' });
  assert.ok(response.status === 202 || response.status === 404, await response.text());
  await asked.until('without it', ({ instances }) => !(id in instances));
}
