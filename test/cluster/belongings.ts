/** What nodes have of what may leak, on the outside of them: as the system and their state tell it. */
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { NodeProcess } from '../support/nodeProcess.js';
import type { WishState } from './wishScene.js';

/** Of several nodes all together. Linux tells of open files and processes; elsewhere they are null. */
export interface Belongings {
  /** Processes that they have started and that have not been waited for. */
  readonly children: number | null;
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
