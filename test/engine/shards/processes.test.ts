/** Three shards in processes of their own, one's output piped into the next: the text of the whole model. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import {
  argmax,
  compute,
  type Row,
  rowsOf,
  temporaryFolder,
  tinyModel,
  tinyShape,
  withEngine,
  writeModel,
} from '../support.js';
import { encodeFrame, FrameReader } from './frames.js';

const LIMIT_MS = 120_000;
const TOKENS = 16;
const PROMPTS = [
  [5, 250, 17, 99, 3],
  [64, 2, 201],
];
const CHILD = fileURLToPath(new URL('shardChild.js', import.meta.url));
const shape = tinyShape('qwen3', { layers: 6 });

/** Steps of a greedy generation of all prompts side by side; takes the logits of the rows that ask for some. */
function* greedy(): Generator<readonly Row[], number[][], readonly Float32Array[]> {
  const texts = PROMPTS.map((prompt) => [...prompt]);
  let rows = PROMPTS.flatMap((prompt, sequence) => [
    ...rowsOf(prompt.slice(0, -1), sequence, 0, false),
    ...rowsOf(prompt.slice(-1), sequence, prompt.length - 1),
  ]);
  for (let count = 0; count < TOKENS; count += 1) {
    const logits = yield rows;
    rows = texts.flatMap((text, sequence) => {
      const token = argmax(logits[sequence] as Float32Array);
      text.push(token);
      return rowsOf([token], sequence, text.length - 1);
    });
  }
  return texts;
}

it('R62: greedy text of two sequences through three processes is that of one', {
  timeout: LIMIT_MS,
}, async () => {
  const path = writeModel(temporaryFolder(), 'processes', tinyModel(shape));
  let expected: number[][] = [];
  withEngine(path, {}, (engine) => {
    const steps = greedy();
    let step = steps.next([]);
    while (step.done !== true) step = steps.next(compute(engine, step.value));
    expected = step.value;
  });

  const shards = startShards(path, [0, 2, 4, 6]);
  try {
    const steps = greedy();
    let step = steps.next([]);
    while (step.done !== true) step = steps.next(await shards.compute(step.value));
    assert.deepEqual(step.value, expected);
    assert.equal(expected[0]?.length, (PROMPTS[0]?.length ?? 0) + TOKENS);
    assert.ok(new Set(expected.flat()).size > 5);
  } finally {
    await shards.stop();
  }
});

function startShards(path: string, boundaries: readonly number[]) {
  const children: ChildProcess[] = boundaries.slice(1).map((end, index) =>
    spawn(process.execPath, [CHILD, path, String(boundaries[index]), String(end)], {
      stdio: ['pipe', 'pipe', 'inherit'],
    }),
  );
  for (const [index, child] of children.entries()) {
    const next = children[index + 1];
    if (next?.stdin) child.stdout?.pipe(next.stdin);
  }
  const [first, last] = [children[0] as ChildProcess, children.at(-1) as ChildProcess];
  const frames = new FrameReader();
  return {
    compute: async (rows: readonly Row[]): Promise<Float32Array[]> => {
      const head = rows.map(({ position, sequence, output }) => ({
        position,
        sequence,
        output: output !== false,
      }));
      first.stdin?.write(
        encodeFrame(
          head,
          Float32Array.from(rows, ({ token }) => token),
        ),
      );
      for (;;) {
        const [chunk] = (await once(last.stdout as NonNullable<ChildProcess['stdout']>, 'data')) as [Buffer];
        const [frame] = frames.read(chunk);
        if (frame === undefined) continue;
        const count = frame.numbers.length / shape.vocabularySize;
        return Array.from({ length: count }, (_, row) =>
          frame.numbers.subarray(row * shape.vocabularySize, (row + 1) * shape.vocabularySize),
        );
      }
    },
    stop: async (): Promise<void> => {
      first.stdin?.end();
      for (const child of children) {
        if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
        assert.equal(child.exitCode, 0);
      }
    },
  };
}
