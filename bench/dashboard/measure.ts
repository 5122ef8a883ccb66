/** What is measured of a page. */
import type { ChromiumPage } from './chromium.js';

/** Frames of a page that was watched for a while. */
export interface Frames {
  readonly perSecond: number;
  /** Of a hundred frames, one took longer than this, in milliseconds. */
  readonly p99Ms: number;
  readonly longestMs: number;
}

/** Milliseconds since its navigation began until the cluster is drawn and the page has time for the next input. */
export function untilUsable(page: ChromiumPage): Promise<number> {
  return page.evaluate(`new Promise((resolve) => {
    const look = () => {
      if (document.querySelector('article[data-node]') === null) requestAnimationFrame(look);
      else setTimeout(() => resolve(performance.now()));
    };
    look();
  })`);
}

/** Paths of what was fetched so far, the page itself first. */
export function fetchedPaths(page: ChromiumPage): Promise<string[]> {
  return page.evaluate(
    `['/', ...performance.getEntriesByType('resource').map(({ name }) => new URL(name).pathname)]`,
  );
}

export async function watchFrames(page: ChromiumPage, milliseconds: number): Promise<Frames> {
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

export interface PageFigures {
  /** JavaScript heap after a collection of garbage. */
  readonly heapBytes: number;
  /** Time that the main thread was at work since the page was opened. */
  readonly busySeconds: number;
}

/** `Performance.enable` comes before it. */
export async function readFigures(page: ChromiumPage): Promise<PageFigures> {
  await page.send('HeapProfiler.collectGarbage');
  const { metrics } = await page.send<{ metrics: { name: string; value: number }[] }>(
    'Performance.getMetrics',
  );
  const value = (wanted: string) => metrics.find(({ name }) => name === wanted)?.value ?? 0;
  return { heapBytes: value('JSHeapUsedSize'), busySeconds: value('TaskDuration') };
}
