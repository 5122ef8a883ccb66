/** The embedded model through the whole path: its own evaluation questions, and a text that must never change. */
import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { NodeProcess } from '../support/nodeProcess.js';

const BOUND_MS = 120_000;
const MODEL = 'shoal-guide';
const LEAST_SHARE = 0.85;
const SIDE_BY_SIDE = 8;
const SNAPSHOT = join(packageRoot(), 'test', 'node', 'guide.snapshot.json');

interface Question {
  readonly question: string;
  /** Regular expressions that a sensible answer matches, all of them; `(?s)` in front lets the dot match line ends. */
  readonly expect: readonly string[];
}

let node: NodeProcess;
before(
  async () => {
    node = await NodeProcess.start('--serve', MODEL);
    await node.ready();
  },
  { timeout: BOUND_MS },
);
after(() => node?.stop(), { timeout: BOUND_MS });

async function ask(question: string, more: object): Promise<string> {
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: question }], ...more }),
    signal: AbortSignal.timeout(BOUND_MS),
  });
  const answer = (await response.json()) as { choices: { message: { content: string } }[] };
  assert.equal(response.status, 200, JSON.stringify(answer));
  return answer.choices[0]?.message.content ?? '';
}

function isSensible(text: string, { expect }: Question): boolean {
  return expect.every((source) => {
    const spansLines = source.startsWith('(?s)');
    return new RegExp(spansLines ? source.slice('(?s)'.length) : source, spansLines ? 'is' : 'i').test(text);
  });
}

// First, on a fresh node: the roundings of a step hang on what else is in it and in the cache.
test('R63: seed 42 at temperature 0 gives the committed text', { timeout: BOUND_MS }, async () => {
  assert.ok(existsSync(SNAPSHOT));
  for (const [question, text] of Object.entries(
    JSON.parse(readFileSync(SNAPSHOT, 'utf8')) as Record<string, string>,
  )) {
    assert.equal(await ask(question, { seed: 42, temperature: 0, max_tokens: 60 }), text);
  }
});

test('the embedded model answers its evaluation questions sensibly', { timeout: BOUND_MS }, async () => {
  const path = join(packageRoot(), 'tools', 'guide-model', 'evaluation.json');
  const questions = JSON.parse(readFileSync(path, 'utf8')) as Question[];
  const wrong: string[] = [];
  const left = [...questions];
  const lane = async () => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const text = await ask(next.question, { temperature: 0, max_tokens: 1_600 });
      if (!isSensible(text, next)) wrong.push(`${next.question}\n    ${text.slice(0, 200)}`);
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane));
  const share = 1 - wrong.length / questions.length;
  assert.ok(
    share >= LEAST_SHARE,
    `${(100 * share).toFixed(0)} % of ${questions.length}\n${wrong.join('\n')}`,
  );
});
