/** The last hour of the cluster as charts: what `/activity` tells, in numbers that can be drawn and said. */
import { formatBytes } from '../../src/shared/bytes.js';
import type { Tone } from './clusterView.js';
import { plural } from './format.js';

/** Columns of one length, oldest sample first; the last sample is of this moment. */
export interface HourColumns {
  readonly step_ms: number;
  readonly at_ms: readonly number[];
  readonly completed: readonly number[];
  readonly failed: readonly number[];
  readonly cancelled: readonly number[];
  readonly runner_failures: readonly number[];
  readonly generated_tokens: readonly number[];
  readonly running: readonly number[];
  readonly queued: readonly number[];
  readonly memory_used_bytes: readonly number[];
  readonly memory_total_bytes: readonly number[];
}

const COLUMNS = [
  'at_ms',
  'completed',
  'failed',
  'cancelled',
  'runner_failures',
  'generated_tokens',
  'running',
  'queued',
  'memory_used_bytes',
  'memory_total_bytes',
] as const;

export interface ChartPoint {
  readonly atMs: number;
  readonly value: number;
}

export interface ChartSeries {
  readonly name: string;
  readonly tone: Tone;
  readonly points: readonly ChartPoint[];
}

export interface Chart {
  readonly id: string;
  readonly name: string;
  /** Bars stand on each other and count what happened in a minute; lines are measured. */
  readonly kind: 'bars' | 'lines';
  readonly series: readonly ChartSeries[];
  /** The first and the last time that is shown, in milliseconds since the epoch. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** The value at the upper edge. */
  readonly top: number;
  readonly format: (value: number) => string;
  /** What it shows, for those who do not see it. */
  readonly summary: string;
}

export const MINUTE_MS = 60_000;
/** A node that has not been up for an hour shows less, so that it can be seen; the last one is the whole hour. */
const SPANS_MS = [10, 30, 60].map((minutes) => minutes * MINUTE_MS);
const HOUR_MS = 60 * MINUTE_MS;
/** Samples that are further apart than this many steps have a gap between them: the node stood still. */
const GAP_STEPS = 3;
const SHORTEST_STEP_MS = 1_000;

/** Null when it is not what this page reads. */
export function readHour(value: unknown): HourColumns | null {
  if (typeof value !== 'object' || value === null) return null;
  const columns = value as Record<string, unknown>;
  const lengths = COLUMNS.map((name) => {
    const column = columns[name];
    return Array.isArray(column) && column.every(Number.isFinite) ? column.length : -1;
  });
  const isWhole = lengths.every((length) => length >= 0 && length === lengths[0]);
  return isWhole && typeof columns.step_ms === 'number' ? (value as HourColumns) : null;
}

export function hourCharts(hour: HourColumns): Chart[] {
  const untilMs = hour.at_ms.at(-1) ?? 0;
  const knownMs = untilMs - (hour.at_ms[0] ?? untilMs);
  const span = { fromMs: untilMs - (SPANS_MS.find((spanMs) => spanMs >= knownMs) ?? HOUR_MS), untilMs };
  const count = (value: number) => String(Math.round(value));
  const bars = (name: string, tone: Tone, column: readonly number[]): ChartSeries => ({
    name,
    tone,
    points: perMinute(hour.at_ms, column),
  });
  const lines = (name: string, tone: Tone, column: readonly number[]): ChartSeries => ({
    name,
    tone,
    points: hour.at_ms.map((atMs, at) => ({ atMs, value: column[at] ?? 0 })),
  });
  const [ended, lost] = [sum(hour.completed) + sum(hour.failed) + sum(hour.cancelled), sum(hour.failed)];
  const rates = tokenRates(hour);
  const fastest = Math.max(0, ...rates.map(({ value }) => value));
  const [used, total] = [hour.memory_used_bytes.at(-1) ?? 0, hour.memory_total_bytes.at(-1) ?? 0];
  const charts: Omit<Chart, 'top'>[] = [
    {
      id: 'requests',
      name: 'Requests a minute',
      kind: 'bars',
      series: [
        bars('completed', 'good', hour.completed),
        bars('cancelled', 'off', hour.cancelled),
        bars('failed', 'bad', hour.failed),
      ],
      ...span,
      format: count,
      summary: `${plural(ended, 'request')} ended in the last hour`,
    },
    {
      id: 'tokens',
      name: 'Tokens a second',
      kind: 'lines',
      series: [{ name: 'generated', tone: 'busy', points: rates }],
      ...span,
      format: (value: number) => (value >= 10 || value === 0 ? count(value) : value.toFixed(1)),
      summary: `${sum(hour.generated_tokens)} tokens in the last hour, at most ${count(fastest)} a second`,
    },
    {
      id: 'queue',
      name: 'Requests at once',
      kind: 'lines',
      series: [lines('running', 'busy', hour.running), lines('waiting', 'warning', hour.queued)],
      ...span,
      format: count,
      summary: `${hour.running.at(-1) ?? 0} running now, ${hour.queued.at(-1) ?? 0} of them waiting for a place`,
    },
    {
      id: 'failures',
      name: 'Failures a minute',
      kind: 'bars',
      series: [bars('requests', 'bad', hour.failed), bars('runners', 'warning', hour.runner_failures)],
      ...span,
      format: count,
      summary: `${plural(lost, 'request')} and ${plural(sum(hour.runner_failures), 'runner')} failed in the last hour`,
    },
    {
      id: 'memory',
      name: 'Memory',
      kind: 'lines',
      series: [lines('used', 'good', hour.memory_used_bytes), lines('there', 'off', hour.memory_total_bytes)],
      ...span,
      format: formatBytes,
      summary: `${formatBytes(used)} of ${formatBytes(total)} are used now`,
    },
  ];
  return charts.map((chart) => ({ ...chart, top: topOf(chart) }));
}

/** One point a minute, with nothing for minutes of which nothing is known. The last one has just begun. */
function perMinute(times: readonly number[], column: readonly number[]): ChartPoint[] {
  const minutes = new Map<number, number>();
  times.forEach((atMs, at) => {
    const minute = Math.floor(atMs / MINUTE_MS);
    minutes.set(minute, (minutes.get(minute) ?? 0) + (column[at] ?? 0));
  });
  return [...minutes].map(([minute, value]) => ({ atMs: minute * MINUTE_MS, value }));
}

/** The first sample of a node counts since nobody knows when. */
function tokenRates({ at_ms: times, generated_tokens: tokens }: HourColumns): ChartPoint[] {
  return times.slice(1).map((atMs, at) => {
    const seconds = Math.max(SHORTEST_STEP_MS, atMs - (times[at] ?? atMs)) / 1_000;
    return { atMs, value: (tokens[at + 1] ?? 0) / seconds };
  });
}

/** The smallest of 1, 2, 5, 10, 20 … that nothing is above; memory is measured by what there is. */
function topOf({ kind, series, id }: Pick<Chart, 'kind' | 'series' | 'id'>): number {
  const heights =
    kind === 'lines'
      ? series.flatMap(({ points }) => points.map(({ value }) => value))
      : (series[0]?.points ?? []).map((_, at) => sum(series.map(({ points }) => points[at]?.value ?? 0)));
  const highest = Math.max(0, ...heights);
  if (id === 'memory') return Math.max(1, highest);
  if (highest <= 1) return 1;
  const power = 10 ** Math.floor(Math.log10(highest));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= highest) ?? highest;
}

/** The runs of points between gaps. */
export function runsOf(points: readonly ChartPoint[], stepMs: number): ChartPoint[][] {
  const runs: ChartPoint[][] = [];
  for (const point of points) {
    const last = runs.at(-1)?.at(-1);
    if (last === undefined || point.atMs - last.atMs > stepMs * GAP_STEPS || point.atMs < last.atMs)
      runs.push([point]);
    else runs.at(-1)?.push(point);
  }
  return runs;
}

/** What the charts show at a time, in words: the newest point of each series that is not after it. */
export function readAt({ series, format }: Pick<Chart, 'series' | 'format'>, atMs: number): string {
  return series
    .flatMap(({ name, points }) => {
      const point = points.findLast((candidate) => candidate.atMs <= atMs);
      return point === undefined ? [] : [`${name} ${format(point.value)}`];
    })
    .join(' · ');
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
