/** `shoal chat`: one question, or a conversation. */
import { createInterface } from 'node:readline/promises';
import { toFault } from '../shared/errors.js';
import { PATIENT_HEADERS } from '../shared/preferWait.js';
import { type ApiTarget, callApi, readEvents } from './client.js';
import { formatFault, printable } from './output.js';

export interface ChatOptions {
  readonly system?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly seed?: number;
}

interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

interface ChatChunk {
  readonly choices: readonly {
    readonly delta?: { readonly content?: string; readonly reasoning_content?: string };
  }[];
}

type Options = ApiTarget & ChatOptions & { readonly json: boolean };

export async function chat(model: string, prompt: string | undefined, options: Options): Promise<void> {
  const messages: Message[] =
    options.system === undefined ? [] : [{ role: 'system', content: options.system }];
  if (prompt !== undefined) {
    messages.push({ role: 'user', content: prompt });
    if (options.json) {
      const response = await callApi(options, '/v1/chat/completions', {
        body: body(model, messages, options, false),
        headers: PATIENT_HEADERS,
      });
      process.stdout.write(`${await response.text()}\n`);
      return;
    }
    await answer(model, messages, options);
    return;
  }
  await converse(model, messages, options);
}

/** A line at a time until the input ends. Ctrl-C ends an answer; at the prompt it ends the conversation. */
async function converse(model: string, messages: Message[], options: Options): Promise<void> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' });
  let answering: AbortController | null = null;
  terminal.on('SIGINT', () => (answering === null ? terminal.close() : answering.abort()));
  terminal.prompt();
  for await (const line of terminal) {
    if (line.trim() !== '') {
      messages.push({ role: 'user', content: line });
      answering = new AbortController();
      try {
        messages.push({
          role: 'assistant',
          content: await answer(model, messages, options, answering.signal),
        });
      } catch (error) {
        messages.pop();
        process.stderr.write(`${formatFault(toFault(error))}\n`);
      }
      answering = null;
    }
    terminal.prompt();
  }
  process.stdout.write('\n');
}

/** Prints the answer while it comes, and returns it. */
async function answer(
  model: string,
  messages: readonly Message[],
  options: Options,
  signal?: AbortSignal,
): Promise<string> {
  const request = {
    body: body(model, messages, options, true),
    headers: PATIENT_HEADERS,
    ...(signal === undefined ? {} : { signal }),
  };
  const response = await callApi(options, '/v1/chat/completions', request);
  let text = '';
  try {
    for await (const chunk of readEvents(response)) {
      const delta = (chunk as ChatChunk).choices[0]?.delta;
      text += delta?.content ?? '';
      process.stdout.write(printable((delta?.reasoning_content ?? '') + (delta?.content ?? '')));
    }
  } catch (error) {
    if (signal?.aborted !== true) throw error;
  }
  process.stdout.write('\n');
  return text;
}

function body(model: string, messages: readonly Message[], options: ChatOptions, stream: boolean): unknown {
  return {
    model,
    messages,
    stream,
    // JSON leaves out what is undefined.
    max_tokens: options.maxTokens,
    temperature: options.temperature,
    seed: options.seed,
  };
}
