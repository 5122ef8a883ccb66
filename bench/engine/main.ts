/**
 * The engine against node-llama-cpp on the same files: `node dist/bench/engine/main.js [--help]`. The two take turns
 * in processes of their own, so that what else the machine does meets both; a ratio is the median over the pairs.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { memoryBandwidth } from './bandwidth.js';
import { type Measurement, PARTS, type Plan } from './parts.js';
import { FORMATS, randomModel, SHAPES, type ShapeName } from './randomModel.js';
import { type FormatResult, markdownTable } from './report.js';

const CHILD_LIMIT_MS = 5 * 60_000;

const { values } = parseArgs({
  options: {
    shape: { type: 'string', default: 'qwen3-0.6b' },
    formats: { type: 'string', default: FORMATS.join(',') },
    parts: { type: 'string', default: '' },
    rounds: { type: 'string', default: '3' },
    'decode-tokens': { type: 'string', default: '48' },
    threads: { type: 'string', default: String(availableParallelism()) },
    out: { type: 'string', default: join(packageRoot(), '.build', 'bench-engine.json') },
    quick: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(`Options:
  --shape NAME          ${Object.keys(SHAPES).join(' or ')} (qwen3-0.6b)
  --formats A,B         of ${FORMATS.join(', ')} (all)
  --parts TEXT          only parts whose name has this in it
  --rounds N            pairs of processes for each format (3)
  --decode-tokens N     tokens of each sequence in a decode part (48)
  --threads N           of both sides (${availableParallelism()})
  --out FILE            where the JSON goes
  --quick               the tiny shape, one round: does it run?
`);
  process.exit(0);
}

const shape = (values.quick ? 'tiny' : values.shape) as ShapeName;
const rounds = values.quick ? 1 : Number(values.rounds);
const threads = Number(values.threads);
const parts = PARTS.filter((part) => part.name.includes(values.parts));
const formats = FORMATS.filter((format) => values.formats.split(',').includes(format));
const oracle = join(packageRoot(), 'test', 'oracle');
if (!existsSync(join(oracle, 'node_modules'))) {
  process.stderr.write(
    'node-llama-cpp is not installed: run `npm ci --omit=optional --ignore-scripts` in test/oracle\n',
  );
  process.exit(1);
}

const bandwidth = await memoryBandwidth(threads);
const results: FormatResult[] = [];
for (const format of formats) {
  const modelPath = randomModel(shape, format);
  const plan: Plan = { modelPath, threads, parts, decodeTokens: Number(values['decode-tokens']) };
  const pairs: { ours: Measurement; theirs: Measurement }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    process.stderr.write(`${format}, round ${round + 1} of ${rounds}\n`);
    const runs = {
      ours: () => measure(fileURLToPath(new URL('shoalChild.js', import.meta.url)), plan),
      theirs: () => measure(join(oracle, 'benchmark.mjs'), plan),
    };
    // Who goes first changes from round to round.
    if (round % 2 === 0) pairs.push({ ours: runs.ours(), theirs: runs.theirs() });
    else {
      const theirs = runs.theirs();
      pairs.push({ ours: runs.ours(), theirs });
    }
  }
  results.push({ format, fileBytes: statSync(modelPath).size, pairs });
}
const report = { shape, threads, bandwidthBytesPerSecond: bandwidth, rounds, results };
mkdirSync(join(values.out, '..'), { recursive: true });
writeFileSync(values.out, JSON.stringify(report, null, 2));
process.stdout.write(markdownTable(report));

function measure(script: string, plan: Plan): Measurement {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], {
    input: JSON.stringify(plan),
    encoding: 'utf8',
    timeout: CHILD_LIMIT_MS,
  });
  if (status !== 0) throw new Error(`${script} ended with ${status}: ${stderr}`);
  return JSON.parse(stdout) as Measurement;
}
