/** Processor time of the busiest thread of a process: of a runner that computes with one thread, the computing one. Linux. */
import { readdirSync, readFileSync } from 'node:fs';

const MS_PER_TICK = 10;
/** Fields of /proc/PID/stat behind the name: time in user and in kernel mode, in ticks. */
const [USER_FIELD, KERNEL_FIELD] = [11, 12];

export type ThreadTimes = ReadonlyMap<string, number>;

export function threadTimesMs(pid: number): ThreadTimes {
  const folder = `/proc/${pid}/task`;
  return new Map(
    readdirSync(folder).map((thread) => {
      const stat = readFileSync(`${folder}/${thread}/stat`, 'utf8');
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return [thread, (Number(fields[USER_FIELD]) + Number(fields[KERNEL_FIELD])) * MS_PER_TICK];
    }),
  );
}

/** Of the thread that worked most between the two. */
export function busiestMs(before: ThreadTimes, after: ThreadTimes): number {
  return Math.max(...[...after].map(([thread, ms]) => ms - (before.get(thread) ?? 0)));
}
