/** Answers whose runner or node is lost in the middle: real processes, killed, stopped, frozen and drained. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { NodeGroup } from '../support/nodeGroup.js';
import { isAlive, type NodeProcess, type NodeState } from '../support/nodeProcess.js';
import { type Answer, ask, placeOn, removeInstance, whole } from './answers.js';
import { MODEL, post } from './scene.js';

const BOUND = { timeout: 120_000 };
const LOCAL = ['--peer-host', '127.0.0.1', '--no-discovery', '--failpoints'];

/** An answer that is never heard to its end lasts for seconds, so that what ends it does not come too late. */
const LASTING = { 'x-shoal-failpoint': 'runner.slow_token=100' };

const group = new NodeGroup();
let asking: NodeProcess;
let first: NodeProcess;
let second: NodeProcess;

before(async () => {
  asking = await group.add(null, ...LOCAL, '--no-worker');
  first = await group.add(null, ...LOCAL, '--peer', asking.peerAddress);
  second = await group.add(null, ...LOCAL, '--peer', asking.peerAddress);
  await group.agreed();
}, BOUND);

after(() => group.stop(), BOUND);

/** Plain instances on these nodes, gone after the test; their ids. */
async function placed(
  t: { after(end: () => Promise<void>): void },
  ...nodes: NodeProcess[]
): Promise<string[]> {
  const ids: string[] = [];
  t.after(async () => {
    for (const id of Object.keys((await asking.state()).instances)) await removeInstance(asking, id);
  });
  for (const node of nodes) ids.push(await placeOn(asking, node));
  return ids;
}

async function pidOn(instanceId: string, state?: NodeState): Promise<number> {
  const { runners } = state ?? (await asking.state());
  const found = Object.entries(runners).find(([id]) => id.startsWith(instanceId));
  return found?.[1].pid ?? assert.fail(`no process of ${instanceId}`);
}

/** Kills the runner that serves once so many pieces of the answer have come; at once, for the answer goes on meanwhile. */
async function killing(after: number, signal: NodeJS.Signals = 'SIGKILL') {
  const state = await asking.state();
  return async (pieces: number, instanceId: string) => {
    if (pieces === after) process.kill(await pidOn(instanceId, state), signal);
  };
}

/** Its answers last until there is another instance; what goes on there is as fast as ever. */
async function slowDown(node: NodeProcess, msPerToken: number): Promise<void> {
  const body = { name: 'runner.slow_token', arg: String(msPerToken) };
  const armed = await post(node, '/debug/failpoints', body);
  assert.equal(armed.status, 200, await armed.text());
}

/** The answer as it is when nothing happens. */
const undisturbedly = (more: object) => whole(asking, more, {});

function same(moved: Answer, undisturbed: Answer): void {
  assert.equal(moved.fault, null, JSON.stringify(moved.fault));
  assert.deepEqual(moved.choices, undisturbed.choices);
  assert.deepEqual(moved.usage, undisturbed.usage);
}

const SAMPLED = { temperature: 0.7, seed: 42 };
const kinds: Record<string, object> = {
  'at temperature 0': { temperature: 0 },
  'drawn with a seed': SAMPLED,
  'drawn with penalties': { ...SAMPLED, frequency_penalty: 0.1, repetition_penalty: 1.05 },
  'of two choices': { ...SAMPLED, n: 2 },
  'with a stop string': { temperature: 0, stop: ['join the'] },
  'with log probabilities': { temperature: 0, logprobs: true, top_logprobs: 2 },
};

test('R60: an answer whose runner is killed goes on at another instance, to the letter', BOUND, async (t) => {
  const ids = await placed(t, first, second);
  let kill = 0;
  for (const [kind, more] of Object.entries(kinds)) {
    const undisturbed = await undisturbedly(more);
    assert.ok(undisturbed.pieces > 10, `the answer ${kind} is long enough`);
    kill = (kill * 7 + 3) % Math.floor(undisturbed.pieces / 2);
    const answer = await ask(asking, more, await killing(kill + 1));
    same(answer, undisturbed);
    assert.equal(answer.moves.length, 1, `${kind}, killed after ${kill + 1} pieces`);
    const [move] = answer.moves;
    assert.equal(move?.from, answer.instanceId, 'the header names the first');
    assert.equal(move?.reason, 'runner_failed');
    assert.ok(ids.includes(move?.to ?? '') && move?.to !== move?.from);
    // A fresh one takes its place, so that no restart has to be waited for.
    const node = ids.indexOf(answer.instanceId) === 0 ? first : second;
    await removeInstance(asking, answer.instanceId);
    ids[ids.indexOf(answer.instanceId)] = await placeOn(asking, node);
  }
});

test('R60: an answer that is not streamed survives likewise, and is counted once', BOUND, async (t) => {
  await placed(t, first, second);
  const body = { ...SAMPLED, stream: false };
  const undisturbed = await undisturbedly(body);
  const asked = ask(asking, body);
  const busy = await asking.until('busy', ({ tasks }) =>
    Object.values(tasks).some(({ status }) => status === 'running'),
  );
  const [task] = Object.values(busy.tasks).filter(({ status }) => status === 'running');
  process.kill(await pidOn((task as unknown as { instance_id: string }).instance_id), 'SIGKILL');
  same(await asked, undisturbed);
  await asking.until('idle', ({ tasks }) => Object.values(tasks).every(({ status }) => status !== 'running'));
});

test('R60: with one instance only, the answer waits for its restart', BOUND, async (t) => {
  await placed(t, first);
  const undisturbed = await undisturbedly(SAMPLED);
  const answer = await ask(asking, SAMPLED, await killing(12));
  same(answer, undisturbed);
  assert.equal(answer.moves[0]?.from, answer.moves[0]?.to);
});

test('R60, R26: what a wish started anew gets its answers back', BOUND, async (t) => {
  const made = await post(asking, '/meta_instance', { model_id: MODEL });
  const { meta_instance_id: id } = (await made.json()) as { meta_instance_id: string };
  t.after(() => fetch(`${asking.url}/meta_instance/${id}`, { method: 'DELETE' }));
  await group.ready(1);
  const undisturbed = await undisturbedly(SAMPLED);
  const answer = await ask(asking, SAMPLED, await killing(9));
  same(answer, undisturbed);
});

test('R60, R44: a frozen runner is killed, and its answer goes on', BOUND, async (t) => {
  await placed(t, first, second);
  const undisturbed = await undisturbedly(SAMPLED);
  const answer = await ask(asking, SAMPLED, await killing(7, 'SIGSTOP'));
  same(answer, undisturbed);
  assert.equal(answer.moves.length, 1);
});

test('R60: what waits in a runner that dies before it is ready moves too', BOUND, async (t) => {
  const [id = ''] = await placed(t, first);
  const undisturbed = await undisturbedly(SAMPLED);
  process.kill(await pidOn(id), 'SIGKILL');
  await asking.until('starting again', ({ runners }) =>
    Object.values(runners).some(
      ({ status, pid }) => pid !== null && status !== 'ready' && status !== 'running',
    ),
  );
  const asked = ask(asking, SAMPLED);
  const [runner] = Object.values((await asking.state()).runners);
  if (runner?.pid != null && isAlive(runner.pid)) process.kill(runner.pid, 'SIGKILL');
  same(await asked, undisturbed);
});

test('R11, R10: cancel, disconnect and deadline hold while an answer waits for a place', BOUND, async (t) => {
  await placed(t, first);
  const isAway = ({ runners }: NodeState) => Object.values(runners).every(({ pid }) => pid === null);
  const askLasting = (onPiece: Parameters<typeof ask>[2], more = {}, signal?: AbortSignal) =>
    ask(asking, { ...SAMPLED, ...more }, onPiece, signal, LASTING);
  const cancelled = await askLasting(async (pieces, instanceId, commandId) => {
    if (pieces !== 5) return;
    process.kill(await pidOn(instanceId), 'SIGKILL');
    await asking.until('moving', isAway);
    const answer = await fetch(`${asking.url}/v1/cancel/${commandId}`, { method: 'POST' });
    assert.equal(answer.status, 200);
  });
  assert.equal(cancelled.fault?.code, 'cancelled');
  await group.ready(1);
  // It comes back after three seconds at the earliest: this is its second failure.
  const late = await askLasting(await killing(5), { deadline_ms: 2_500 });
  assert.equal(late.fault?.code, 'deadline_exceeded');
  assert.match(late.fault?.message ?? '', /waited for another place.*SIGKILL/);
  await asking.until('seen to be away', isAway);
  await group.ready(1);
  const leaving = new AbortController();
  const leave = async (pieces: number, instanceId: string) => {
    if (pieces !== 5) return;
    process.kill(await pidOn(instanceId), 'SIGKILL');
    setTimeout(() => leaving.abort(), 100);
  };
  const left = askLasting(leave, {}, leaving.signal);
  await assert.rejects(left, { name: 'AbortError' });
  await asking.until('idle', ({ tasks }) => Object.values(tasks).every(({ status }) => status !== 'running'));
});

test('R12, R60: a request that kills each runner is given up after three', BOUND, async (t) => {
  await placed(t, first, second);
  const poison = { 'x-shoal-failpoint': 'runner.die=always' };
  const answer = await ask(asking, { ...SAMPLED, ignore_eos: true }, undefined, undefined, poison);
  assert.equal(answer.fault?.code, 'runner_failed');
  assert.match(answer.fault?.message ?? '', /SIGKILL.*number 3 that died with this request/);
  assert.equal(answer.moves.length, 2);
});

test('R60, R6: an answer whose instance a user deletes ends at once with a code', BOUND, async (t) => {
  await placed(t, first);
  const answer = await ask(asking, SAMPLED, async (pieces, instanceId) => {
    if (pieces === 5) await removeInstance(asking, instanceId);
  });
  assert.equal(answer.fault?.code, 'not_ready');
  assert.ok(answer.isDone, 'and has its proper end');
});

test('R60: the answers of a node that is stopped go on elsewhere when its time is over', BOUND, async (t) => {
  await placed(t, second);
  const undisturbed = await undisturbedly(SAMPLED);
  await slowDown(second, 100);
  let stopped: Promise<unknown> | null = null;
  const answer = await ask(
    asking,
    SAMPLED,
    async (pieces) => {
      if (pieces !== 5) return;
      await slowDown(second, 1_000);
      await placed(t, first);
      stopped = second.end();
    },
    undefined,
    {},
  );
  same(answer, undisturbed);
  assert.equal(answer.moves[0]?.reason, 'not_ready');
  assert.equal(await stopped, 0);
  second = await group.restart(second, null, ...LOCAL, '--peer', asking.peerAddress);
  await group.agreed();
});

test('R60: the answers of a node that is killed go on elsewhere', BOUND, async (t) => {
  await placed(t, second);
  const undisturbed = await undisturbedly(SAMPLED);
  await slowDown(second, 100);
  const answer = await ask(
    asking,
    SAMPLED,
    async (pieces) => {
      if (pieces !== 5) return;
      await slowDown(second, 1_000);
      await placed(t, first);
      second.child.kill('SIGKILL');
    },
    undefined,
    {},
  );
  same(answer, undisturbed);
  assert.equal(answer.moves[0]?.reason, 'node_lost');
  await second.exited;
  second = await group.restart(second, null, ...LOCAL, '--peer', asking.peerAddress);
  await group.agreed();
});
