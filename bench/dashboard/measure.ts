/** What Chromium measures of a page. */
import { readFileSync } from 'node:fs';
import type { Browser, DevTools, Page } from '../../test/dashboard/browser.js';

/** Frames of a page that was watched for a while. */
export interface Frames {
  readonly perSecond: number;
  /** Of a hundred frames, one took longer than this, in milliseconds. */
  readonly p99Ms: number;
  readonly longestMs: number;
}

export async function watchFrames(page: Page, milliseconds: number): Promise<Frames> {
  const times = await page.evaluate<number[]>(`new Promise((resolve) => {
    const times = [];
    const end = performance.now() + ${milliseconds};
    const frame = (now) => {
      times.push(now);
      if (now < end) requestAnimationFrame(frame);
      else resolve(times);
    };
    requestAnimationFrame(frame);
  })`);
  const gaps = times.slice(1).map((time, at) => time - (times[at] as number));
  const sorted = [...gaps].sort((a, b) => a - b);
  const all = gaps.reduce((sum, gap) => sum + gap, 0);
  return {
    perSecond: (gaps.length / all) * 1_000,
    p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0,
    longestMs: sorted.at(-1) ?? 0,
  };
}

export interface Memory {
  /** After a collection of garbage. */
  readonly heapBytes: number;
  /** What only the page's process has, Chromium's own parts in it included. */
  readonly privateBytes: number;
}

export async function measureMemory(browser: Browser, tools: DevTools): Promise<Memory> {
  await tools.send('HeapProfiler.collectGarbage');
  const { metrics } = await tools.send<{ metrics: { name: string; value: number }[] }>(
    'Performance.getMetrics',
  );
  const heapBytes = metrics.find(({ name }) => name === 'JSHeapUsedSize')?.value ?? 0;
  return { heapBytes, privateBytes: await privateBytes(browser) };
}

/** Of the largest renderer: the browser has one page open. */
async function privateBytes(browser: Browser): Promise<number> {
  const { processInfo } = await (await browser.devTools()).send<{
    processInfo: { type: string; id: number }[];
  }>('SystemInfo.getProcessInfo');
  const sizes = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => privateBytesOf(id));
  return Math.max(0, ...sizes);
}

function privateBytesOf(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kilobytes = [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].map(([, amount]) => Number(amount));
  return kilobytes.reduce((sum, amount) => sum + amount, 0) * 1_024;
}

/** Time that the page's main thread was at work, in seconds, since the page was opened. */
export async function busySeconds(tools: DevTools): Promise<number> {
  const { metrics } = await tools.send<{ metrics: { name: string; value: number }[] }>(
    'Performance.getMetrics',
  );
  return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? 0;
}
