/** R35: a node that is killed in the middle of its log, torn by a half write, or out of disk, for real. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Lines } from '../support/lines.js';

const PROGRAM = join(fileURLToPath(new URL('.', import.meta.url)), 'storeChild.js');

/** What is left of the small disk holds some records, and not all of a generation. */
const DISK_BYTES = 256 * 1024;
const BALLAST_BYTES = 240 * 1024;

interface Said {
  readonly loaded?: number;
  readonly isWhole?: boolean;
  readonly durable?: number;
  readonly refused?: number;
  readonly notice?: string;
}

class StoreProcess {
  readonly child: ChildProcess;
  readonly lines: Lines;

  constructor(context: TestContext, command: string, ...parameters: readonly string[]) {
    this.child = spawn(command, parameters, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.lines = new Lines(this.child);
    context.after(() => this.child.kill('SIGKILL'));
  }

  get said(): Said[] {
    return this.lines.all.map((line) => JSON.parse(line) as Said);
  }

  tell(word: string): void {
    this.child.stdin?.write(`${word}\n`);
  }

  async until(what: string, isWanted: (said: Said) => boolean, from = 0): Promise<Said> {
    return JSON.parse(
      await this.lines.until(what, (line) => isWanted(JSON.parse(line) as Said), from),
    ) as Said;
  }

  /** @returns how far it was durable at least */
  async ended(signal: NodeJS.Signals | null): Promise<number> {
    if (signal !== null) this.child.kill(signal);
    // `close` comes when all that it printed was read.
    await once(this.child, 'close');
    return Math.max(0, ...this.said.map(({ durable = 0 }) => durable));
  }
}

function scratch(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-store-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

describe('R35 the log of a process', () => {
  test('killed eight times in mid-write, it never loses what it said was durable', {
    timeout: 120_000,
  }, async (context) => {
    const folder = scratch(context);
    let promised = 0;
    for (let life = 0; life < 8; life += 1) {
      const store = new StoreProcess(context, process.execPath, PROGRAM, folder);
      const { loaded = -1, isWhole } = await store.until('load', (said) => said.loaded !== undefined);
      assert.ok(loaded >= promised && isWhole, `${loaded} of ${promised}`);
      await store.until('progress', ({ durable = 0 }) => durable >= loaded + 5 + life * 7);
      promised = await store.ended('SIGKILL');
    }
  });

  test('store.torn_write kills the process with half a record on disk; the next life drops it and says so', {
    timeout: 60_000,
  }, async (context) => {
    const folder = scratch(context);
    const store = new StoreProcess(context, process.execPath, PROGRAM, folder);
    await store.until('progress', ({ durable = 0 }) => durable >= 3);
    store.tell('torn');
    const promised = await store.ended(null);
    assert.equal(store.child.signalCode, 'SIGKILL');
    const next = new StoreProcess(context, process.execPath, PROGRAM, folder);
    const { loaded = -1, isWhole } = await next.until('load', (said) => said.loaded !== undefined);
    assert.ok(isWhole && loaded >= promised && loaded <= promised + 1, `${loaded} of ${promised}`);
    await next.until('progress', ({ durable = 0 }) => durable > loaded);
    await next.ended('SIGKILL');
  });

  test('store.disk_full refuses for so long; then everything is durable after all', {
    timeout: 60_000,
  }, async (context) => {
    const store = new StoreProcess(context, process.execPath, PROGRAM, scratch(context));
    await store.until('progress', ({ durable = 0 }) => durable >= 3);
    store.tell('full=200');
    const { refused = 0 } = await store.until('refusal', (said) => said.refused !== undefined);
    await store.until('recovery', ({ durable = 0 }) => durable > refused);
    await store.ended('SIGKILL');
    assert.equal(store.said.filter(({ notice }) => notice?.includes('does not take')).length, 1);
  });

  const hasMounts = process.platform === 'linux' && process.getuid?.() === 0;
  const skip = hasMounts ? false : 'a disk of its own needs root on Linux';
  test('a disk that is really full stops nobody, and loses nothing when there is room again', {
    timeout: 60_000,
    skip,
  }, async (context) => {
    const folder = scratch(context);
    // Seen by this process alone, and gone with it.
    const script = `mount -t tmpfs -o size=${DISK_BYTES} tmpfs ${folder} && exec "$@" ${BALLAST_BYTES}`;
    const program = [process.execPath, PROGRAM, folder];
    const store = new StoreProcess(context, 'unshare', '--mount', 'sh', '-c', script, 'sh', ...program);
    const { notice } = await store.until('refusal', (said) => said.notice !== undefined);
    assert.match(notice ?? '', /ENOSPC/);
    const { refused = 0 } = await store.until('refusal', (said) => said.refused !== undefined);
    await store.until('going on', (said) => (said.refused ?? 0) > refused + 10);
    store.tell('free');
    await store.until('recovery', ({ durable = 0 }) => durable > refused + 10);
    await store.ended('SIGKILL');
  });
});
