/** Small statistics for the benchmarks of the API. */

export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

export function row(name: string, values: readonly number[], digits = 2): string {
  const cells = [0.5, 0.99, 1].map((share) => percentile(values, share).toFixed(digits));
  return `| ${name} | ${cells.join(' | ')} |`;
}

export interface StreamTimes {
  /** Milliseconds from the request to each chunk with text, in order. */
  readonly chunksMs: readonly number[];
  readonly totalMs: number;
}

/** Streams one chat completion over plain `fetch` and notes when each piece of text came. */
export async function timeStream(url: string, body: Record<string, unknown>): Promise<StreamTimes> {
  const started = performance.now();
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...body, stream: true }),
  });
  if (!response.ok || response.body === null) throw new Error(`${response.status}: ${await response.text()}`);
  const chunksMs: number[] = [];
  let rest = '';
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    const now = performance.now() - started;
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.includes('"error"')) throw new Error(line);
      if (line.includes('"content"')) chunksMs.push(now);
    }
  }
  return { chunksMs, totalMs: performance.now() - started };
}
