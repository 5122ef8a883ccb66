/**
 * The page in a real Chromium: what a first visit fetches and how long it takes until it can be used, and how it keeps
 * up with a large cluster in which much happens. The state is made up; API, events and page are the real ones.
 *
 *   node dist/bench/dashboard/run.js [--seconds 10] [--visits 9] [--nodes 50] [--instances 200] [--wishes 100] [--events 100]
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { startTestApi, type TestApi } from '../../src/api/testing/testApi.js';
import { packageRoot } from '../../src/shared/packageRoot.js';
import { Browser, whyNoBrowser } from '../../test/dashboard/browser.js';
import { instance, largeState, node, runner } from '../../test/dashboard/madeUpState.js';
import { Happenings } from './happenings.js';
import { busySeconds, measureMemory, watchFrames } from './measure.js';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    visits: { type: 'string', default: '9' },
    nodes: { type: 'string', default: '50' },
    instances: { type: 'string', default: '200' },
    events: { type: 'string', default: '100' },
    wishes: { type: 'string', default: '100' },
  },
});
const SECONDS = Number(values.seconds);
const NODES = Number(values.nodes);
const INSTANCES = Number(values.instances);
const EVENTS_PER_S = Number(values.events);
const TICK_MS = 50;
const VIEWS = ['Cluster', 'Chat', 'Activity', 'Connect'];

if (whyNoBrowser() !== null) process.exit(1);
const browser = await Browser.launch();
const api = await startTestApi();
try {
  await firstVisits(browser, api);
  await muchHappens(browser, api);
} finally {
  await browser.close();
  await api.close();
}

async function firstVisits(browser: Browser, api: TestApi): Promise<void> {
  api.state = smallState();
  const times: number[] = [];
  let files: string[] = [];
  for (let visit = 0; visit < Number(values.visits); visit += 1) {
    const { page, requests, close } = await browser.open(`${api.url}/`);
    // The script of the page has run, the state is there and drawn, and a press of a key is answered.
    const ready = await page.evaluate<number>(`new Promise((resolve) => {
      const look = () => {
        if (document.querySelector('article[data-node]') === null) requestAnimationFrame(look);
        else setTimeout(() => resolve(performance.now()));
      };
      look();
    })`);
    times.push(ready);
    files = requests.map((url) => new URL(url).pathname);
    await close();
  }
  console.log('| first visit | |\n|---|---|');
  console.log(`| fetched, gzip | ${kilobytes(fileBytes(files, '.gz'))} |`);
  console.log(`| fetched, brotli | ${kilobytes(fileBytes(files, '.br'))} |`);
  const sorted = times.sort((a, b) => a - b);
  console.log(
    `| until it can be used, median | ${Math.round(sorted[Math.floor(sorted.length / 2)] as number)} ms |`,
  );
  console.log(
    `| until it can be used, longest of ${sorted.length} | ${Math.round(sorted.at(-1) as number)} ms |`,
  );
}

async function muchHappens(browser: Browser, api: TestApi): Promise<void> {
  api.state = largeState(NODES, INSTANCES, Number(values.wishes));
  const happenings = new Happenings(api, { nodes: NODES, instances: INSTANCES });
  const { page, requests, devTools, close } = await browser.open(`${api.url}/`);
  const tools = await devTools();
  await tools.send('Performance.enable');
  await page.locator('article[data-node]').first().waitFor();
  const ticker = setInterval(() => {
    for (let count = 0; count < (EVENTS_PER_S * TICK_MS) / 1_000; count += 1) happenings.happen();
  }, TICK_MS);
  console.log(
    `\n| ${NODES} nodes, ${INSTANCES} instances, ${EVENTS_PER_S} events/s | frames/s | p99 frame | longest frame | main thread busy | heap | private memory |`,
  );
  console.log('|---|---|---|---|---|---|---|');
  for (const view of VIEWS) {
    await page.getByRole('navigation').getByRole('link', { name: view, exact: true }).click();
    await sleep(1_000);
    const busyBefore = await busySeconds(tools);
    const { perSecond, p99Ms, longestMs } = await watchFrames(page, SECONDS * 1_000);
    const busy = ((await busySeconds(tools)) - busyBefore) / SECONDS;
    const { heapBytes, privateBytes } = await measureMemory(browser, tools);
    const cells = [
      view,
      perSecond.toFixed(1),
      `${Math.round(p99Ms)} ms`,
      `${Math.round(longestMs)} ms`,
      `${Math.round(busy * 100)} %`,
      megabytes(heapBytes),
      megabytes(privateBytes),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
  clearInterval(ticker);
  const whole = requests.filter((url) => new URL(url).pathname === '/state').length;
  console.log(`\n${happenings.told} events were told; the page asked for the whole state ${whole} times.`);
  await close();
}

function smallState() {
  return {
    index: 7,
    node_id: 'n1',
    master_node_id: 'n1',
    nodes: { n1: node('n1', 'lighthouse') },
    links: [],
    instances: { i: instance('i', 'tiny', ['n1']) },
    runners: { 'i-r0': runner('i-r0', 'n1') },
    meta_instances: {},
    tasks: {},
  };
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
