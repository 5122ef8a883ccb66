/** The files of the built dashboard, read once: small enough to stay in memory, and of one build while the node runs. */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface DashboardFile {
  readonly type: string;
  /** By content coding; `identity` is always there. */
  readonly bodies: ReadonlyMap<Coding, Buffer>;
  /** Changes with the content. */
  readonly tag: string;
}

export type Coding = 'br' | 'gzip' | 'identity';

const PAGE = 'index.html';
/** In order of preference: the smallest first. */
const CODINGS: readonly (readonly [Coding, string])[] = [
  ['br', '.br'],
  ['gzip', '.gz'],
  ['identity', ''],
];
const TYPES: Readonly<Record<string, string>> = {
  html: 'text/html; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
};
const TAG_CHARACTERS = 20;

/** By path below the folder, such as `assets/index-B7.js`. Null when no dashboard was built there. */
export function readDashboard(folder: string): ReadonlyMap<string, DashboardFile> | null {
  if (!existsSync(join(folder, PAGE))) return null;
  const files = new Map<string, DashboardFile>();
  for (const entry of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    const type = TYPES[/\.(\w+)$/.exec(entry)?.[1] ?? ''];
    if (type === undefined) continue;
    const bodies = new Map<Coding, Buffer>();
    for (const [coding, suffix] of CODINGS) {
      const path = join(folder, entry + suffix);
      if (existsSync(path)) bodies.set(coding, readFileSync(path));
    }
    const digest = createHash('sha256').update(bodies.get('identity') as Buffer);
    const tag = `"${digest.digest('hex').slice(0, TAG_CHARACTERS)}"`;
    files.set(entry.replaceAll('\\', '/'), { type, bodies, tag });
  }
  return files;
}

/** The smallest body that the reader takes (`Accept-Encoding`). */
export function pickBody(
  { bodies }: DashboardFile,
  accepted: string | undefined,
): { readonly coding: Coding; readonly body: Buffer } {
  const taken = new Set(
    (accepted ?? '')
      .split(',')
      .filter((part) => !/;\s*q=0(\.0*)?\s*$/.test(part))
      .map((part) => part.split(';', 1)[0]?.trim().toLowerCase()),
  );
  const coding =
    CODINGS.map(([name]) => name).find((name) => taken.has(name) && bodies.has(name)) ?? 'identity';
  return { coding, body: bodies.get(coding) as Buffer };
}
