/**
 * The page in a real Chromium: what a first visit fetches and how long it takes until it can be used, and how it keeps
 * up with a large cluster in which much happens. The state is made up; API, events and page are the real ones.
 *
 *   node dist/bench/dashboard/run.js [--seconds 10] [--visits 9] [--nodes 50] [--instances 200] [--wishes 100]
 *     [--events 100]
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startTestApi, type TestApi } from '../../src/api/testing/testApi.js';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { largeState } from '../../test/dashboard/madeUpState.js';
import { Chromium } from './chromium.js';
import { Happenings } from './happenings.js';
import { fetchedPaths, readFigures, untilUsable, watchFrames } from './measure.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    visits: { type: 'string', default: '9' },
    nodes: { type: 'string', default: '50' },
    instances: { type: 'string', default: '200' },
    wishes: { type: 'string', default: '100' },
    events: { type: 'string', default: '100' },
  },
});
const SECONDS = Number(values.seconds);
const NODES = Number(values.nodes);
const INSTANCES = Number(values.instances);
const EVENTS_PER_S = Number(values.events);
const TICK_MS = 50;
const SETTLE_MS = 1_000;
const VIEWS = ['cluster', 'chat', 'activity', 'connect'];

const chromium = new Chromium();
const api = await startTestApi();
try {
  await firstVisits(chromium, api);
  await muchHappens(chromium, api);
} finally {
  await chromium.close();
  await api.close();
}

async function firstVisits(chromium: Chromium, api: TestApi): Promise<void> {
  api.state = largeState(2, 2);
  const times: number[] = [];
  let paths: string[] = [];
  for (let visit = 0; visit < Number(values.visits); visit += 1) {
    const page = await chromium.open(`${api.url}/`);
    times.push(await untilUsable(page));
    paths = await fetchedPaths(page);
    await page.close();
  }
  const sorted = times.sort((a, b) => a - b);
  const rows = [
    ['first visit', ''],
    ['---', '---'],
    ['fetched, gzip', kilobytes(fileBytes(paths, '.gz'))],
    ['fetched, brotli', kilobytes(fileBytes(paths, '.br'))],
    ['until it can be used, median', `${Math.round(sorted[Math.floor(sorted.length / 2)] ?? 0)} ms`],
    [`until it can be used, longest of ${sorted.length}`, `${Math.round(sorted.at(-1) ?? 0)} ms`],
  ];
  for (const cells of rows) console.log(`| ${cells.join(' | ')} |`);
}

async function muchHappens(chromium: Chromium, api: TestApi): Promise<void> {
  api.state = largeState(NODES, INSTANCES, Number(values.wishes));
  const happenings = new Happenings(api, { nodes: NODES, instances: INSTANCES });
  const page = await chromium.open(`${api.url}/`);
  // Time that the thread really had: neighbours of the machine do not count.
  await page.send('Performance.enable', { timeDomain: 'threadTicks' });
  await untilUsable(page);
  const ticker = setInterval(() => {
    for (let count = 0; count < (EVENTS_PER_S * TICK_MS) / 1_000; count += 1) happenings.happen();
  }, TICK_MS);
  const heads = [
    'view',
    'frames/s',
    'p99 frame',
    'longest frame',
    'main thread busy',
    'heap',
    'private memory',
  ];
  console.log(
    `\n${NODES} nodes, ${INSTANCES} instances, ${values.wishes} wishes, ${EVENTS_PER_S} events/s:\n`,
  );
  console.log(`| ${heads.join(' | ')} |\n|${'---|'.repeat(heads.length)}`);
  for (const view of VIEWS) {
    await page.evaluate(`location.hash = '#${view}'`);
    await sleep(SETTLE_MS);
    const before = await readFigures(page);
    const { perSecond, p99Ms, longestMs } = await watchFrames(page, SECONDS * 1_000);
    const { heapBytes, busySeconds } = await readFigures(page);
    const cells = [
      view,
      perSecond.toFixed(1),
      `${Math.round(p99Ms)} ms`,
      `${Math.round(longestMs)} ms`,
      `${Math.round(((busySeconds - before.busySeconds) / SECONDS) * 100)} %`,
      megabytes(heapBytes),
      megabytes(await chromium.privateBytes()),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
  clearInterval(ticker);
  console.log(`\n${happenings.told} events were told.`);
  await page.close();
}

/** As they lie in the built page; what the API answers itself is not counted. */
function fileBytes(paths: readonly string[], suffix: string): number {
  const sizes = paths.map((path) => {
    const file = join(packageRoot(), 'dashboard', 'dist', path === '/' ? 'index.html' : path);
    const found = [file + suffix, file].find((name) => existsSync(name));
    return found === undefined ? 0 : statSync(found).size;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1_000).toFixed(1)} kB`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
