/**
 * How often a request gives the same text in a full batch as alone: the same questions with the same seeds, one after
 * the other, and then sixteen at a time in another order.
 *
 *   node dist/bench/api/sameText.js [requests = 200]
 */
import { NodeProcess } from '../../test/support/nodeProcess.js';

const MODEL = 'shoal-guide';
const REQUESTS = Number(process.argv[2] ?? 200);
const SIDE_BY_SIDE = 16;
const TOKENS = 64;
const SUBJECTS = 'fox hedgehog otter owl bear mouse robot dragon king baker'.split(' ');

const node = await NodeProcess.start('--serve', MODEL);
await node.ready();

async function ask(index: number, temperature: number): Promise<string> {
  const content = `Tell me a story about a ${SUBJECTS[index % SUBJECTS.length]}.`;
  const body = {
    model: MODEL,
    messages: [{ role: 'user', content }],
    seed: index,
    temperature,
    max_tokens: TOKENS,
  };
  const response = await fetch(`${node.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return (
    ((await response.json()) as { choices: { message: { content: string } }[] }).choices[0]?.message
      .content ?? ''
  );
}

for (const temperature of [0, 1]) {
  const alone: string[] = [];
  for (let i = 0; i < REQUESTS; i += 1) alone.push(await ask(i, temperature));
  const left = alone.map((_, index) => index).reverse();
  let same = 0;
  const lane = async () => {
    for (let index = left.pop(); index !== undefined; index = left.pop()) {
      if ((await ask(index, temperature)) === alone[index]) same += 1;
    }
  };
  await Promise.all(Array.from({ length: SIDE_BY_SIDE }, lane));
  console.log(
    `temperature ${temperature}: ${same} of ${REQUESTS} texts of up to ${TOKENS} tokens are the same`,
  );
}
await node.stop();
