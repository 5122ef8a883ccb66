/** The environment variables that a runner process starts with. */
import { FAILPOINT_VARIABLE } from '../shared/failpoints.js';

const TUNABLES = 'GLIBC_TUNABLES';
const HUGE_PAGES = 'glibc.malloc.hugetlb';

/**
 * The node's own environment, less its failpoints, and with large pages asked for: the kernel gives back a model's
 * memory page by page before anybody hears of the end of its process, and 512 times fewer pages make that short. Other
 * C libraries than glibc do not know the variable, and a kernel whose large pages are off gives small ones.
 *
 * @param failpoint null = failpoints are not allowed; empty = allowed; else the one that the process starts with
 */
export function runnerEnvironment(
  failpoint: string | null,
  own: NodeJS.ProcessEnv = process.env,
): NodeJS.ProcessEnv {
  const { [FAILPOINT_VARIABLE]: _, ...environment } = own;
  const tunables = own[TUNABLES] ?? '';
  if (!tunables.includes(HUGE_PAGES)) {
    environment[TUNABLES] = [tunables, `${HUGE_PAGES}=1`].filter((part) => part !== '').join(':');
  }
  return failpoint === null ? environment : { ...environment, [FAILPOINT_VARIABLE]: failpoint };
}
