/**
 * The pause that a client sees when the runner of its stream is killed, at many points of the stream: from the kill to the
 * next token (the longest gap), with another instance ready and with none, which has to be started anew. Every answer is compared with
 * the undisturbed one.
 *
 *   node dist/bench/failover/killedRunner.js [rounds = 30]
 */
import { ask, placeOn, removeInstance } from '../../test/cluster/answers.js';
import { NodeGroup } from '../../test/support/nodeGroup.js';
import type { NodeProcess } from '../../test/support/nodeProcess.js';
import { percentile } from '../api/measure.js';

const ROUNDS = Number(process.argv[2] ?? 30);
const LOCAL = ['--peer-host', '127.0.0.1', '--no-discovery', '--failpoints'];
const SAMPLED = { temperature: 0.7, seed: 42 };
/** No pause between tokens. */
const PLAINLY = {};
const EARLIEST = 2;

const group = new NodeGroup();

async function pidOf(node: NodeProcess, instanceId: string): Promise<number> {
  const { runners } = await node.state();
  const pid = Object.entries(runners).find(([id]) => id.startsWith(instanceId))?.[1].pid;
  if (pid == null) throw new Error(`no process of ${instanceId}`);
  return pid;
}

/** Kills the runner in the middle of an answer. @returns the pause in milliseconds, and whether the answer is the same */
async function round(asking: NodeProcess, killAt: number, expected: string) {
  let lastAt: number | null = null;
  let pauseMs = 0;
  const onPiece = async (pieces: number, instanceId: string) => {
    // Some tokens were on the way already: the longest gap after the kill is the pause.
    if (lastAt !== null) pauseMs = Math.max(pauseMs, performance.now() - lastAt);
    if (pieces === killAt) process.kill(await pidOf(asking, instanceId), 'SIGKILL');
    if (pieces >= killAt) lastAt = performance.now();
  };
  const answer = await ask(asking, SAMPLED, onPiece, undefined, {
    'x-shoal-failpoint': 'runner.slow_token=5',
  });
  return { pauseMs, isSame: answer.choices[0]?.text === expected, moves: answer.moves.length };
}

async function measure(asking: NodeProcess, serving: readonly NodeProcess[]): Promise<string> {
  const pauses: number[] = [];
  let same = 0;
  for (let at = 0; at < ROUNDS; at += 1) {
    const ids = [];
    for (const node of serving) ids.push(await placeOn(asking, node));
    const whole = await ask(asking, SAMPLED, undefined, undefined, PLAINLY);
    const killAt = EARLIEST + (at % Math.max(1, whole.pieces - 2 * EARLIEST));
    const { pauseMs, isSame, moves } = await round(asking, killAt, whole.choices[0]?.text ?? '');
    if (isSame) same += 1;
    // One that had all its tokens on the way already did not have to move.
    if (moves > 0) pauses.push(pauseMs);
    for (const id of ids) await removeInstance(asking, id);
  }
  const [p50, p99] = [0.5, 0.99].map((share) => percentile(pauses, share).toFixed(0));
  return `${p50} | ${p99} | ${pauses.length} | ${same} of ${ROUNDS}`;
}

try {
  const asking = await group.add(null, ...LOCAL, '--no-worker');
  const peer = ['--peer', asking.peerAddress];
  const first = await group.add(null, ...LOCAL, ...peer);
  const second = await group.add(null, ...LOCAL, ...peer);
  await group.agreed();
  console.log('| | pause, ms, p50 | p99 | moved | same text |\n|---|---|---|---|---|');
  console.log(`| another instance ready | ${await measure(asking, [first, second])} |`);
  console.log(`| none: started anew after 2 s | ${await measure(asking, [first])} |`);
} finally {
  await group.stop();
}
