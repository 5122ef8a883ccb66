/** Pairs of measurements as a table: medians of both sides, and the median of the ratios. */
import { median } from '../median.js';
import type { Measurement } from './parts.js';

export interface FormatResult {
  readonly format: string;
  readonly fileBytes: number;
  readonly pairs: readonly { readonly ours: Measurement; readonly theirs: Measurement }[];
}

export interface Report {
  readonly shape: string;
  readonly threads: number;
  readonly bandwidthBytesPerSecond: number;
  readonly rounds: number;
  readonly results: readonly FormatResult[];
}

const MEGABYTE = 1e6;
const GIGABYTE = 1e9;

export function markdownTable(report: Report): string {
  const lines = [
    `${report.shape}, random weights, ${report.threads} threads, ${report.rounds} pairs; memory moves ${(report.bandwidthBytesPerSecond / GIGABYTE).toFixed(1)} GB/s (copy)`,
    '',
    '| format | measured | Shoal | node-llama-cpp | ratio |',
    '|---|---|---|---|---|',
    ...report.results.flatMap((result) => rows(result, report.bandwidthBytesPerSecond)),
  ];
  return `${lines.join('\n')}\n`;
}

function rows(result: FormatResult, bandwidth: number): string[] {
  const row = (
    what: string,
    unit: string,
    of: (side: Measurement) => number,
    lowerIsBetter: boolean,
  ): string => {
    const ours = median(result.pairs.map((pair) => of(pair.ours)));
    const theirs = median(result.pairs.map((pair) => of(pair.theirs)));
    const ratio = median(
      result.pairs.map((pair) =>
        lowerIsBetter ? of(pair.theirs) / of(pair.ours) : of(pair.ours) / of(pair.theirs),
      ),
    );
    return `| ${result.format} | ${what} | ${ours.toFixed(1)} ${unit} | ${theirs.toFixed(1)} ${unit} | ${ratio.toFixed(2)} |`;
  };
  const names = Object.keys(result.pairs[0]?.ours.speeds ?? {});
  const speeds = names.map((name) => row(name, 'tok/s', (side) => side.speeds[name] ?? Number.NaN, false));
  const first = names.find((name) => name.startsWith('decode'));
  const share = result.pairs.map(
    (pair) => ((pair.ours.speeds[first ?? ''] ?? Number.NaN) * result.fileBytes) / bandwidth,
  );
  return [
    ...speeds,
    ...(first === undefined
      ? []
      : [
          `| ${result.format} | share of the bandwidth, ${first} | ${(100 * median(share)).toFixed(0)} % | | |`,
        ]),
    row('load', 'ms', (side) => side.loadMs, true),
    row('resident memory', 'MB', (side) => side.residentBytes / MEGABYTE, true),
    row('proportional memory', 'MB', (side) => (side.proportionalBytes ?? Number.NaN) / MEGABYTE, true),
  ];
}
