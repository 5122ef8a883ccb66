/** What nodes have of what may leak, on the outside of them: as the system and their state tell it. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { NodeProcess } from '../support/nodeProcess.js';
import type { WishState } from './wishScene.js';

const LISTENING = '0A';
const SETTLED_LIMIT_MS = 10_000;
const LOOK_AGAIN_MS = 100;

/** Of several nodes all together. Linux tells of open files and processes; elsewhere they are null. */
export interface Belongings {
  /** Processes that they have started and that have not been waited for. */
  readonly children: number | null;
  /** But for connections to their API, which are those of the test itself. */
  readonly openFiles: number | null;
  readonly pipes: number | null;
  readonly residentBytes: number | null;
  /** Instances, runners, wishes and running requests in their state. */
  readonly entries: number;
  /** Files and folders of side channels. */
  readonly sideChannels: number;
  /** Under their homes. */
  readonly storedBytes: number;
}

export async function belongings(nodes: readonly NodeProcess[]): Promise<Belongings> {
  const all = await Promise.all(nodes.map(belongingsOf));
  const [first, ...others] = all as [Belongings, ...Belongings[]];
  return others.reduce(added, first);
}

/** The same, once they have no more open than that; what they have in the end when that does not come. */
export async function belongingsAfter(
  nodes: readonly NodeProcess[],
  before: Belongings,
): Promise<Belongings> {
  const endsAt = Date.now() + SETTLED_LIMIT_MS;
  for (;;) {
    const now = await belongings(nodes);
    const isSettled =
      (now.openFiles ?? 0) <= (before.openFiles ?? 0) && (now.children ?? 0) <= (before.children ?? 0);
    if (isSettled || Date.now() > endsAt) return now;
    await sleep(LOOK_AGAIN_MS);
  }
}

function added(one: Belongings, other: Belongings): Belongings {
  const add = (a: number | null, b: number | null) => (a === null || b === null ? null : a + b);
  return {
    children: add(one.children, other.children),
    openFiles: add(one.openFiles, other.openFiles),
    pipes: add(one.pipes, other.pipes),
    residentBytes: add(one.residentBytes, other.residentBytes),
    entries: one.entries + other.entries,
    sideChannels: one.sideChannels + other.sideChannels,
    storedBytes: one.storedBytes + other.storedBytes,
  };
}

async function belongingsOf(node: NodeProcess): Promise<Belongings> {
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
    sideChannels: under(join(node.home, 'side-channels')).length,
    storedBytes: bytesUnder(node.home),
  };
}

export function childrenOf({ child }: NodeProcess): number | null {
  const text = readProc(`/proc/${child.pid}/task/${child.pid}/children`);
  return text === null ? null : text.split(' ').filter((pid) => pid !== '').length;
}

function openFilesOf({ child, url }: NodeProcess): string[] | null {
  const folder = `/proc/${child.pid}/fd`;
  try {
    const targets = readdirSync(folder).flatMap((name) => targetOf(join(folder, name)) ?? []);
    const ofApi = apiConnections(child.pid, new URL(url).port);
    return targets.filter((target) => !ofApi.has(target));
  } catch {
    return null;
  }
}

/** As targets of open files. See proc(5), `/proc/net/tcp`. */
function apiConnections(pid: number | undefined, port: string): Set<string> {
  const [_head, ...rows] = readProc(`/proc/${pid}/net/tcp`)?.trim().split('\n') ?? [];
  const sockets = rows.map((row) => {
    const [, local = '', , state, , , , , , inode] = row.trim().split(/\s+/);
    return { port: Number.parseInt(local.split(':')[1] ?? '', 16), state, target: `socket:[${inode}]` };
  });
  const isConnection = (one: (typeof sockets)[number]) =>
    one.port === Number(port) && one.state !== LISTENING;
  return new Set(sockets.filter(isConnection).map(({ target }) => target));
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
  for (const entry of under(folder)) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name)).size;
  }
  return bytes;
}

/** Empty where there is no such folder. */
function under(folder: string) {
  try {
    return readdirSync(folder, { withFileTypes: true, recursive: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
