/**
 * Asks the ranks that this one is linked to whether they live, also while there is nothing to do: a cable that was pulled
 * and a process that was stopped close no connection. Time counts in questions: a machine that was asleep accuses nobody.
 */
import { LIMITS, TIMES } from '../shared/limits.js';
import type { Link } from './link/link.js';
import type { LinkGroup } from './linkGroup.js';

/** Asks until the group ends, and ends it when one does not answer. */
export async function keepVigil(group: LinkGroup, link: Link): Promise<void> {
  let unanswered = 0;
  while (group.failure === null) {
    const isAnswering = await link.isAnswering(TIMES.collectiveVigilMs);
    unanswered = isAnswering ? 0 : unanswered + 1;
    if (unanswered >= LIMITS.collectiveUnanswered) {
      const what = `gives no sign of life since ${unanswered} questions, ${TIMES.collectiveVigilMs} ms each`;
      group.fail(group.names.fault('deadline_exceeded', link.peer, what));
    }
    if (isAnswering) await pause(TIMES.collectiveVigilMs);
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    // A rank that has nothing else to wait for may end.
    setTimeout(resolve, ms).unref();
  });
}
