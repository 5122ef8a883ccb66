/** What the tests of a whole cluster have in common: machines with nodes on them, and questions to those. */
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import OpenAI from 'openai';
import { Hosts, type HostsOptions } from '../support/hosts.js';
import { NodeGroup } from '../support/nodeGroup.js';
import type { NodeProcess } from '../support/nodeProcess.js';

export const MODEL = 'shoal-guide';
const ANSWER_TOKENS = 60;
/** Makes an answer last for two seconds, so that something can happen in the middle of it. */
export const SLOWLY = { 'x-shoal-failpoint': 'runner.slow_token=50' };
/** A node or a runner that a busy machine makes late for a moment is waited for. */
export const PATIENTLY = { prefer: 'wait=30' };
const ANSWER_LIMIT_MS = 60_000;

/** Hosts, and a group of nodes that the test puts on them; all end with the test. */
export async function setUp(t: TestContext, options: HostsOptions | number) {
  const hosts = await Hosts.create(typeof options === 'number' ? { count: options } : options);
  const group = new NodeGroup();
  t.after(async () => {
    await group.stop();
    await hosts.close();
  });
  return { hosts, group };
}

export const client = ({ url }: NodeProcess) =>
  new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0, timeout: ANSWER_LIMIT_MS });

/** The model knows the answer by heart: it is the same text whatever else is computed beside it. */
export const question = {
  model: MODEL,
  messages: [{ role: 'user' as const, content: 'How do I add a second machine?' }],
  temperature: 0,
  max_tokens: ANSWER_TOKENS,
};

/** The answer to the question, asked of this node. */
export async function answer(node: NodeProcess): Promise<string> {
  const { choices } = await client(node).chat.completions.create(question, { headers: PATIENTLY });
  return choices[0]?.message.content ?? '';
}

/** Streams the answer, and does something after some tokens. */
export async function streamed(
  node: NodeProcess,
  afterTokens: number,
  then: () => Promise<void> | void,
): Promise<string> {
  const body = { ...question, stream: true } as const;
  const stream = await client(node).chat.completions.create(body, {
    headers: { ...SLOWLY, ...PATIENTLY },
  });
  let text = '';
  let tokens = 0;
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? '';
    tokens += 1;
    if (tokens === afterTokens) await then();
  }
  return text;
}

/** Body of a completion that takes no time. */
export const brief = { model: MODEL, prompt: 'Once', max_tokens: 2 };

/** Has a few tokens made, and says on which instance. */
export async function servedBy(node: NodeProcess): Promise<string> {
  const response = await post(node, '/v1/completions', brief, PATIENTLY);
  assert.equal(response.status, 200, await response.text());
  return response.headers.get('x-instance-id') ?? '';
}

export function post(node: NodeProcess, path: string, body: unknown, headers: Record<string, string> = {}) {
  return fetch(node.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(ANSWER_LIMIT_MS),
  });
}

/** Ids of the instances on this node, by what another says. */
export async function instancesOn(node: NodeProcess, asked: NodeProcess): Promise<string[]> {
  const { instances } = (await asked.state()) as unknown as {
    instances: Record<string, { readonly shards: readonly { readonly node_id: string }[] }>;
  };
  return Object.keys(instances).filter((id) =>
    instances[id]?.shards.some(({ node_id: nodeId }) => nodeId === node.nodeId),
  );
}

/** Waits until the one shows the other as this. */
export async function shows(node: NodeProcess, other: NodeProcess, status: string): Promise<void> {
  await node.until(`showing ${status}`, ({ nodes }) => nodes[other.nodeId]?.status === status);
}
