/**
 * Faults that tests can cause on purpose. A node takes them only when it was started with `--failpoints`, in a header
 * or on a route of their own: no text of a request can cause one. One that came with a request does not move with it,
 * except with `=always`.
 */
const FAILPOINTS = {
  'runner.die': 'the runner process is killed',
  'runner.exit0': 'the runner process exits with 0',
  'runner.freeze': 'the runner process stops as a whole; with =compute only its compute thread stands still',
  'runner.no_ack': 'the runner takes no further message',
  'runner.block_pipe': 'the runner reads its channel no more',
  'runner.out_of_memory': 'the runner fills its heap until it is ended for it',
  'runner.slow_token': 'each step of the runner takes so many milliseconds longer',
  'runner.die_before_pipe_open': 'the next runner process ends before it says a word',
  'runner.fail_loading': 'the next runner process cannot load its model',
  'runner.hold':
    'runner processes that start from now on stay in a phase of their start, =connecting, =loading or =warming_up; ' +
    'with @RANK behind it only those of that rank; without an argument none does any more',
  'node.drop_peer':
    'the link to the node =NODE_ID is cut, and neither end gets another; without an argument all may link again',
  'store.torn_write': 'the next write to the control log is cut in half, and the node is killed',
  'store.disk_full':
    'the disk takes nothing more of the control log; with =MS for so long, with =0 no longer',
} as const;

export type FailpointName = keyof typeof FAILPOINTS;

export interface Failpoint {
  readonly name: FailpointName;
  readonly arg: string | null;
}

/** Failpoints of a process that has yet to be started. */
export const START_FAILPOINTS: ReadonlySet<FailpointName> = new Set([
  'runner.die_before_pipe_open',
  'runner.fail_loading',
  'runner.hold',
]);

/** Can a request carry it to the runner that computes it? The others are of a node, or of a process to come. */
export function isOfRequest({ name }: Failpoint): boolean {
  return name.startsWith('runner.') && !START_FAILPOINTS.has(name);
}

/** Environment of a runner process: unset = no failpoints, empty = allowed, else the one that it starts with. */
export const FAILPOINT_VARIABLE = 'SHOAL_RUNNER_FAILPOINT';

/** Reads `NAME` or `NAME=ARG`; null when there is no such failpoint. */
export function parseFailpoint(text: string): Failpoint | null {
  const [name = '', arg] = text.split('=', 2);
  return Object.hasOwn(FAILPOINTS, name) ? { name: name as FailpointName, arg: arg ?? null } : null;
}

/** The text that `parseFailpoint` reads. */
export function formatFailpoint({ name, arg }: Failpoint): string {
  return arg === null ? name : `${name}=${arg}`;
}

const ALWAYS = 'always';

/** What a request that moves to another place carries on: a fault is caused once, or with `=always` at each place. */
export function movedFailpoint(failpoint: Failpoint | undefined): Failpoint | undefined {
  const isKept = failpoint?.arg === ALWAYS || failpoint?.name === 'runner.slow_token';
  return isKept ? failpoint : undefined;
}
