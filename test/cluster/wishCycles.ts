/** Wishes that are made and taken back at random moments, one after the other and side by side, and what is left. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeProcess } from '../support/nodeProcess.js';
import { remove, untilNothingLeft, type WishState, wishFor } from './wishScene.js';

/** Small, so that it is the starting and stopping that takes the time. */
const SHAPE = { context_length: 512, max_sequences: 1 };
/** From before the process is there to when it has served for a while. */
const LONGEST_MS = 1_500;
const KILLED = 0.2;
const LOOK_AGAIN_MS = 50;
const ENDED_LIMIT_MS = 30_000;

/** What a node has of what may leak. Linux tells of open files and processes; elsewhere they are null. */
export interface Belongings {
  /** Processes that it has started and that have not been waited for. */
  readonly children: number | null;
  readonly openFiles: number | null;
  readonly pipes: number | null;
  readonly residentBytes: number | null;
  /** Instances, runners, wishes and running requests in its state. */
  readonly entries: number;
  /** Under its home. */
  readonly storedBytes: number;
}

export async function belongings(node: NodeProcess): Promise<Belongings> {
  const state = (await node.state()) as unknown as WishState;
  const files = openFilesOf(node);
  return {
    children: childrenOf(node),
    openFiles: files?.length ?? null,
    pipes:
      files?.filter((target) => target.startsWith('pipe:') || target.startsWith('socket:')).length ?? null,
    residentBytes: residentBytesOf(node),
    entries:
      Object.keys(state.instances).length +
      Object.keys(state.runners).length +
      Object.keys(state.meta_instances).length +
      Object.values(state.tasks).filter(({ status }) => status === 'running').length,
    storedBytes: bytesUnder(node.home),
  };
}

/**
 * Makes a wish, waits, kills its runner now and then, and takes the wish back wherever it is by then.
 * @param random uniform in [0, 1)
 */
async function cycle(node: NodeProcess, random: () => number): Promise<void> {
  const id = await wishFor(node, SHAPE);
  await sleep(random() * LONGEST_MS);
  if (random() < KILLED) {
    const { runners } = await node.state();
    const pid = Object.entries(runners).find(([runnerId]) => runnerId.startsWith(id))?.[1].pid;
    if (pid != null) kill(pid);
  }
  await remove(node, id);
}

/** It may have ended by itself. */
function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** @param onCycle is told how many are done */
export async function cycles(
  node: NodeProcess,
  {
    count,
    sideBySide,
    random,
  }: { readonly count: number; readonly sideBySide: number; readonly random: () => number },
  onCycle: (done: number) => void = () => undefined,
): Promise<void> {
  let begun = 0;
  let done = 0;
  const turn = async (): Promise<void> => {
    while (begun < count) {
      begun += 1;
      await cycle(node, random);
      done += 1;
      onCycle(done);
    }
  };
  await Promise.all(Array.from({ length: sideBySide }, turn));
  await untilNothingLeft([node], '');
  const deadline = Date.now() + ENDED_LIMIT_MS;
  while ((childrenOf(node) ?? 0) > 0) {
    if (Date.now() > deadline) throw new Error(`${childrenOf(node)} processes are left`);
    await sleep(LOOK_AGAIN_MS);
  }
}

function childrenOf({ child }: NodeProcess): number | null {
  const text = readProc(`/proc/${child.pid}/task/${child.pid}/children`);
  return text === null ? null : text.split(' ').filter((pid) => pid !== '').length;
}

function openFilesOf({ child }: NodeProcess): string[] | null {
  const folder = `/proc/${child.pid}/fd`;
  try {
    return readdirSync(folder).flatMap((name) => targetOf(join(folder, name)) ?? []);
  } catch {
    return null;
  }
}

/** Null for what was closed between the listing and this. */
function targetOf(link: string): string | null {
  try {
    return readlinkSync(link);
  } catch {
    return null;
  }
}

function residentBytesOf({ child }: NodeProcess): number | null {
  const kilobytes = readProc(`/proc/${child.pid}/status`)?.match(/VmRSS:\s+(\d+) kB/)?.[1];
  return kilobytes === undefined ? null : Number(kilobytes) * 1024;
}

function readProc(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}

function bytesUnder(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}
