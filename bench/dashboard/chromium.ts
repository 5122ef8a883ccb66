/**
 * A Chromium that is watched as little as can be: over its debugging pipe (file descriptors 3 and 4, messages that end
 * with NUL), with nothing switched on but what is asked for. A driver for tests also keeps the bodies of all answers in
 * the page's process, which would be counted as the page's memory.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { CHROMIUM, CHROMIUM_FLAGS } from '../../test/dashboard/browser.js';

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class Chromium {
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #rest = '';

  constructor() {
    this.#folder = mkdtempSync(join(tmpdir(), 'shoal-bench-dashboard-'));
    const flags = [
      ...CHROMIUM_FLAGS,
      '--headless',
      '--remote-debugging-pipe',
      `--user-data-dir=${this.#folder}`,
    ];
    this.#process = spawn(CHROMIUM, [...flags, '--window-size=1280,860'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    const answers = this.#process.stdio[4] as Readable;
    answers.setEncoding('utf8');
    answers.on('data', (text: string) => this.#received(text));
    this.#process.once('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('Chromium has ended'));
    });
  }

  send<Result>(method: string, params: object = {}, sessionId?: string): Promise<Result> {
    this.#lastId += 1;
    const id = this.#lastId;
    (this.#process.stdio[3] as Writable).write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise<Result>((resolve, reject) => {
      this.#waiting.set(id, { resolve: (result) => resolve(result as Result), reject });
    });
  }

  /** Opens a page of a window of its own, with nothing kept from pages before. */
  async open(url: string): Promise<ChromiumPage> {
    const { browserContextId } = await this.send<{ browserContextId: string }>('Target.createBrowserContext');
    const target = { url: 'about:blank', browserContextId, width: 1280, height: 860 };
    const { targetId } = await this.send<{ targetId: string }>('Target.createTarget', target);
    const attached = await this.send<{ sessionId: string }>('Target.attachToTarget', {
      targetId,
      flatten: true,
    });
    const { sessionId } = attached;
    const page = new ChromiumPage(
      (method, params) => this.send(method, params, sessionId),
      async () => void (await this.send('Target.disposeBrowserContext', { browserContextId })),
    );
    // Answers when the new document is there: scripts can be evaluated in it.
    await page.send('Page.navigate', { url });
    return page;
  }

  /** Memory of the largest renderer that no other process has, in bytes, Chromium's own parts in it included. */
  async privateBytes(): Promise<number> {
    const { processInfo } = await this.send<{ processInfo: { type: string; id: number }[] }>(
      'SystemInfo.getProcessInfo',
    );
    const renderers = processInfo.filter(({ type }) => type === 'renderer');
    return Math.max(0, ...renderers.map(({ id }) => privateBytesOf(id)));
  }

  async close(): Promise<void> {
    const ended = once(this.#process, 'exit');
    this.#process.kill();
    await ended;
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }

  #received(text: string): void {
    const messages = (this.#rest + text).split('\0');
    this.#rest = messages.pop() ?? '';
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message) as Answer;
      const waiting = this.#waiting.get(id ?? 0);
      if (id === undefined || waiting === undefined) continue;
      this.#waiting.delete(id);
      if (error === undefined) waiting.resolve(result);
      else waiting.reject(new Error(error.message));
    }
  }
}

type Send = <Result>(method: string, params?: object) => Promise<Result>;

export class ChromiumPage {
  readonly send: Send;
  readonly close: () => Promise<void>;

  constructor(send: Send, close: () => Promise<void>) {
    this.send = send;
    this.close = close;
  }

  /** The value of a script, or what its promise resolves with; plain JSON. */
  async evaluate<Value>(expression: string): Promise<Value> {
    const { result, exceptionDetails } = await this.send<{
      result: { value: Value };
      exceptionDetails?: { text: string };
    }>('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    if (exceptionDetails !== undefined) throw new Error(exceptionDetails.text);
    return result.value;
  }
}

function privateBytesOf(pid: number): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const kilobytes = [...rollup.matchAll(/^Private_\w+:\s+(\d+) kB$/gm)].map(([, amount]) => Number(amount));
  return kilobytes.reduce((sum, amount) => sum + amount, 0) * 1_024;
}
