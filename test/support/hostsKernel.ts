/**
 * The pieces of Linux that make several hosts of one machine: network namespaces, virtual cables, and a filter at the
 * end of a cable. Everything has names of this process, and stands in namespaces of its own: the machine's own network
 * is never touched.
 */
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { promisify } from 'node:util';

const run = promisify(execFile);
const COMMAND_MS = 10_000;
const PREFIX = 'shoal-test';
/** Fields of /proc/PID/stat behind the name: the start time is the 22nd of all. */
const START_TIME_FIELD = 19;

let made = 0;

/** Unique on this machine, and telling whose it is. */
export function ownPrefix(): string {
  made += 1;
  return `${PREFIX}-${process.pid}-${startTicks(process.pid)}-${made}`;
}

export async function ip(...parameters: readonly string[]): Promise<string> {
  return (await run('ip', [...parameters], { timeout: COMMAND_MS })).stdout;
}

export async function inNamespace(
  namespace: string,
  command: string,
  ...parameters: readonly string[]
): Promise<string> {
  return ip('netns', 'exec', namespace, command, ...parameters);
}

/** Why there can be no hosts on this machine, or null. Tries it once, with everything that the hosts need. */
export async function whyNoNamespaces(): Promise<string | null> {
  if (process.platform !== 'linux') return `network namespaces are of Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'network namespaces need root';
  const name = `${ownPrefix()}-probe`;
  try {
    await ip('netns', 'add', name);
    await ip('-n', name, 'link', 'add', 'name', 'br0', 'type', 'bridge');
    await ip('-n', name, 'link', 'add', 'name', 'probe0', 'type', 'veth', 'peer', 'name', 'probe1');
    await addIngress(name, 'probe0');
    await dropFrom(name, 'probe0', 1, '02:00:00:00:00:01');
    return null;
  } catch (error) {
    return `network namespaces do not work here: ${(error as Error).message.trim().replaceAll('\n', ' ')}`;
  } finally {
    removeNamespaces([name]);
  }
}

/** Can packets be delayed here (`tc netem`)? */
export async function canDelay(namespace: string, device: string): Promise<boolean> {
  try {
    await delayBy(namespace, device, 1);
    await inNamespace(namespace, 'tc', 'qdisc', 'del', 'dev', device, 'root');
    return true;
  } catch {
    // The kernel has no such queue: that is the answer.
    return false;
  }
}

export async function delayBy(namespace: string, device: string, delayMs: number): Promise<void> {
  const queue = ['root', 'netem', 'delay', `${delayMs}ms`];
  await inNamespace(namespace, 'tc', 'qdisc', 'replace', 'dev', device, ...queue);
}

export async function addIngress(namespace: string, device: string): Promise<void> {
  await inNamespace(namespace, 'tc', 'qdisc', 'add', 'dev', device, 'clsact');
}

/** Drops what comes from this hardware address, without a word to anyone, as a broken cable does. */
export async function dropFrom(namespace: string, device: string, rule: number, mac: string): Promise<void> {
  const digits = mac.replaceAll(':', '');
  const [high, low] = [Number.parseInt(digits.slice(0, 4), 16), Number.parseInt(digits.slice(4), 16)];
  // Classic BPF: compare bytes 6 to 11 of the frame, its source; 2 = drop, -1 = go on with the next rule.
  const program = `6,40 0 0 6,21 0 3 ${high},32 0 0 8,21 0 1 ${low},6 0 0 2,6 0 0 4294967295`;
  const filter = ['protocol', 'all', 'pref', String(rule), 'bpf', 'da', 'bytecode', program];
  await inNamespace(namespace, 'tc', 'filter', 'add', 'dev', device, 'ingress', ...filter);
}

export async function dropNoLonger(namespace: string, device: string, rule: number): Promise<void> {
  await inNamespace(namespace, 'tc', 'filter', 'del', 'dev', device, 'ingress', 'pref', String(rule));
}

/** Ends the processes in the namespaces and removes them. Synchronous, so that it works while a process exits. */
export function removeNamespaces(names: readonly string[]): void {
  const present = new Set(allNamespaces());
  for (const name of names) {
    if (!present.has(name)) continue;
    for (const pid of namespacePids(name)) kill(pid);
    tryIp('netns', 'del', name);
  }
}

/** Removes what processes left behind that were killed before they could clean up. */
export function removeLeftovers(): void {
  removeNamespaces(
    allNamespaces().filter((name) => {
      const [, pid, ticks] = /^shoal-test-(\d+)-(\d+)-/.exec(name) ?? [];
      return pid !== undefined && startTicks(Number(pid)) !== ticks;
    }),
  );
}

function allNamespaces(): string[] {
  return tryIp('netns', 'list')
    .split('\n')
    .map((line) => line.split(' ')[0] as string)
    .filter((name) => name.startsWith(`${PREFIX}-`));
}

function namespacePids(name: string): number[] {
  const pids = tryIp('netns', 'pids', name).split('\n').map(Number);
  return pids.filter((pid) => pid > 1 && pid !== process.pid);
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function tryIp(...parameters: readonly string[]): string {
  try {
    return execFileSync('ip', [...parameters], {
      timeout: COMMAND_MS,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  } catch (error) {
    process.stderr.write(`ip ${parameters.join(' ')}: ${(error as Error).message}\n`);
    return '';
  }
}

/** When the process was started, in ticks since boot; null when there is no such process. */
function startTicks(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_TIME_FIELD] ?? null;
  } catch {
    // No such process, or no /proc.
    return null;
  }
}
