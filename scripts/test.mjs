/**
 * All checks and tests: `node scripts/test.mjs [PART …]`, where a part is `checks`, `unit`, or a piece of a file name
 * under test/. Unit tests share a few processes; each file under test/ has its own, with a bound. They wait as long as
 * they compute, so twice as many run side by side as the machine has cores, four at most; SHOAL_TEST_LANES says otherwise.
 * The last line counts.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const wanted = process.argv.slice(2);
const FILE_LIMIT_MS = 5 * 60_000;
const UNIT_PROCESSES = 4;
/** What takes longest begins first, so that no lane works on alone in the end. */
const LONG = [
  'cluster/survival',
  'cluster/shards',
  'collective/faults',
  'dashboard/cluster',
  'dashboard/page',
  'cluster/metaInstances',
  'cluster/deaths',
  'cluster/threeNodes',
  'node/failpoints',
];
const lanes = Number(process.env.SHOAL_TEST_LANES ?? Math.min(4, 2 * availableParallelism()));
const scratch = mkdtempSync(join(tmpdir(), 'shoal-test-'));
let runs = 0;
const totals = { passed: 0, failed: 0, skipped: 0 };

const checks = [
  [
    'format and lint',
    'node_modules/@biomejs/biome/bin/biome',
    ['ci', '--error-on-warnings', '--colors=off', '--max-diagnostics=20', '.'],
  ],
  [
    'folder rules',
    'node_modules/dependency-cruiser/bin/dependency-cruise.mjs',
    ['--output-type', 'err', 'src', 'test', 'bench', 'dashboard/model'],
  ],
  ['dead exports', 'node_modules/knip/bin/knip.js', ['--no-progress']],
  [
    'types of the dashboard',
    'dashboard/node_modules/svelte-check/bin/svelte-check',
    ['--tsconfig', 'dashboard/tsconfig.json', '--output', 'human', '--fail-on-warnings'],
  ],
  ['generated docs are fresh', 'dist/tools/docs/generate.js', ['--check']],
];

const isLong = (file) => LONG.some((piece) => file.includes(piece));
const files = testFiles(join(root, 'dist', 'test')).filter(selected);
const jobs = [
  ...LONG.flatMap((piece) => files.filter((file) => file.includes(piece))).map(
    (file) => () => runTests(relative(root, file), file),
  ),
  ...(selected('unit') ? unitJobs() : []),
  ...files.filter((file) => !isLong(file)).map((file) => () => runTests(relative(root, file), file)),
  ...(selected('checks') ? checks.map((parameters) => () => check(...parameters)) : []),
];
await Promise.all(Array.from({ length: lanes }, work));
rmSync(scratch, { recursive: true, force: true });
const skipped = totals.skipped > 0 ? `, ${totals.skipped} skipped` : '';
console.log(`\n${totals.passed} passed, ${totals.failed} failed${skipped}`);
process.exit(totals.failed === 0 && totals.passed > 0 ? 0 : 1);

/** One lane: takes the next job until none is left. */
async function work() {
  for (let job = jobs.shift(); job !== undefined; job = jobs.shift()) await job();
}

function selected(part) {
  return (
    wanted.length === 0 || wanted.some((piece) => part === piece || relative(root, part).includes(piece))
  );
}

async function check(name, script, parameters) {
  const started = Date.now();
  const { code, output } = await run([join(root, script), ...parameters]);
  if (code !== 0) console.log(`FAILED ${name}\n${output}`);
  totals[code === 0 ? 'passed' : 'failed'] += 1;
  report(name, started, code === 0 ? '' : 'failed');
}

/** Dealt out in turn, so that what is in one folder, and of one kind, is spread over the processes. */
function unitJobs() {
  const files = ['src', 'dashboard'].flatMap((folder) => testFiles(join(root, 'dist', folder)));
  const hands = Array.from({ length: UNIT_PROCESSES }, (_, hand) =>
    files.filter((_file, at) => at % UNIT_PROCESSES === hand),
  );
  return hands.map((hand, at) => () => unitTests(hand, at + 1));
}

/** Each file is a suite of its own, so that its hooks concern its own tests only. */
async function unitTests(files, number) {
  const entry = join(scratch, `unit-${number}.mjs`);
  const suites = files.map((file) => {
    const [name, address] = [relative(root, file), pathToFileURL(file).href].map((text) =>
      JSON.stringify(text),
    );
    return `describe(${name}, () => import(${address}));`;
  });
  writeFileSync(entry, ["import { describe } from 'node:test';", ...suites].join('\n'));
  await runTests(`unit tests of ${files.length} files, ${number} of ${UNIT_PROCESSES}`, entry);
}

async function runTests(name, file) {
  const started = Date.now();
  runs += 1;
  const countsFile = join(scratch, `counts-${runs}`);
  const reporter = pathToFileURL(join(root, 'scripts', 'reporter.mjs')).href;
  const { code, output } = await run(
    ['--enable-source-maps', `--test-reporter=${reporter}`, '--test-reporter-destination=stdout', file],
    countsFile,
  );
  process.stdout.write(output);
  const counts = existsSync(countsFile)
    ? JSON.parse(readFileSync(countsFile, 'utf8'))
    : { passed: 0, failed: 0, skipped: 0 };
  if (code !== 0 && counts.failed === 0) {
    counts.failed = 1;
    console.log(`FAILED ${name}: the process ended with ${code} before its tests did`);
  }
  for (const key of Object.keys(totals)) totals[key] += counts[key];
  report(name, started, `${counts.passed} passed, ${counts.failed} failed`);
}

/** Runs a script in a Node.js process of its own; past the limit it is killed with its whole process group. */
function run(parameters, countsFile = '') {
  return new Promise((resolve) => {
    const child = spawn(process.execPath, parameters, {
      cwd: root,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, SHOAL_TEST_COUNTS: countsFile, NO_COLOR: '1' },
    });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    const timer = setTimeout(() => {
      output += `\nkilled after ${FILE_LIMIT_MS / 1000} s\n`;
      process.kill(-child.pid, 'SIGKILL');
    }, FILE_LIMIT_MS);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? signal, output });
    });
  });
}

function testFiles(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.test.js'))
    .map((name) => join(folder, name))
    .sort();
}

function report(name, started, result) {
  console.log(`${name}: ${result === '' ? 'ok' : result} (${((Date.now() - started) / 1000).toFixed(1)} s)`);
}
