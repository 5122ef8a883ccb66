/** A stream over two nodes that runs while something breaks: every token of it is counted. */
import type { NodeProcess } from '../../test/support/nodeProcess.js';

const MODEL = 'shoal-guide';
/** At 20 ms each, these last through the fault and all that follows from it. */
const TOKENS = 300;
const TOKEN_MS = 20;
/** Streams spread over the instances, so the right one comes soon. */
const ATTEMPTS = 10;

interface Chunk {
  readonly error?: { readonly code: string; readonly message: string };
  readonly choices?: readonly {
    readonly finish_reason: string | null;
    readonly logprobs: { readonly content: readonly unknown[] } | null;
  }[];
}

export interface StreamReport {
  readonly lostTokens: number;
  readonly longestPauseMs: number;
}

/** Streams from `asking` until it is over. @throws when it ends in another way than with its last token */
export class WatchedStream {
  readonly ended: Promise<StreamReport>;
  #tokens = 0;

  private constructor(response: Response) {
    this.ended = this.#read(response);
    // Whoever awaits it hears of an error; until then it is not unhandled.
    this.ended.catch(() => undefined);
  }

  /** Opens streams until one runs on this instance; the others are left. */
  static async on(asking: NodeProcess, instanceId: string): Promise<WatchedStream> {
    const others: AbortController[] = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const leaving = new AbortController();
      const response = await fetch(`${asking.url}/v1/chat/completions`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-shoal-failpoint': `runner.slow_token=${TOKEN_MS}`,
        },
        body: JSON.stringify({
          model: MODEL,
          messages: [{ role: 'user', content: 'Tell me a long story about a fox.' }],
          max_tokens: TOKENS,
          ignore_eos: true,
          logprobs: true,
          stream: true,
        }),
        signal: leaving.signal,
      });
      if (!response.ok) throw new Error(await response.text());
      if (response.headers.get('x-instance-id') === instanceId) {
        for (const other of others) other.abort();
        return new WatchedStream(response);
      }
      others.push(leaving);
    }
    throw new Error('no stream came to the instance');
  }

  async begun(): Promise<void> {
    while (this.#tokens === 0) {
      await Promise.race([this.ended, new Promise((resolve) => setTimeout(resolve, 5))]);
    }
  }

  async #read(response: Response): Promise<StreamReport> {
    let [rest, isFinished, longestPauseMs] = ['', false, 0];
    let lastAt = performance.now();
    for await (const text of (response.body as ReadableStream<Uint8Array>).pipeThrough(
      new TextDecoderStream(),
    )) {
      const now = performance.now();
      longestPauseMs = Math.max(longestPauseMs, this.#tokens === 0 ? 0 : now - lastAt);
      lastAt = now;
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (!line.startsWith('data: {')) continue;
        const chunk = JSON.parse(line.slice('data: '.length)) as Chunk;
        if (chunk.error !== undefined) throw new Error(`${chunk.error.code}: ${chunk.error.message}`);
        const [choice] = chunk.choices ?? [];
        this.#tokens += choice?.logprobs?.content.length ?? 0;
        isFinished ||= choice?.finish_reason === 'length';
      }
    }
    if (!isFinished) throw new Error('the stream ended without its last chunk');
    return { lostTokens: TOKENS - this.#tokens, longestPauseMs };
  }
}
