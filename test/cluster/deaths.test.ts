/** Nodes that are killed, one or all: what their clients are told, what the others know, and what comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { whyNoHosts } from '../support/hosts.js';
import { NodeGroup, newToken } from '../support/nodeGroup.js';
import { HERE, NodeProcess } from '../support/nodeProcess.js';
import { ask, whole } from './answers.js';
import { answer, instancesOn, MODEL, PATIENTLY, post, question, setUp, shows } from './scene.js';

const skip = (await whyNoHosts()) ?? false;
const BOUND = { timeout: 120_000, skip };

test(
  'R4, R6, R9, R60, R81: the answer of a node that died goes on when it is back, also when it was forgotten meanwhile',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 2);
    const asking = await group.add(hosts.host(1), '--no-worker', '--failpoints');
    const serving = await group.add(hosts.host(2), '--serve', MODEL, '--failpoints');
    await group.agreed();
    await group.ready(1);
    const alive = await post(asking, `/nodes/${serving.nodeId}/forget`, {});
    assert.equal(alive.status, 400, 'a living node is not forgotten');
    const undisturbed = await whole(asking, {}, {});
    let isOver = false;
    const moved = ask(asking, {}, async (pieces) => {
      if (pieces === 5) serving.child.kill('SIGKILL');
    }).finally(() => {
      isOver = true;
    });
    await shows(asking, serving, 'dead');
    const refused = await post(asking, '/v1/chat/completions', question);
    assert.equal(refused.status, 503);
    assert.match(await refused.text(), /gone.*"code":"all_instances_failed"/);
    const short = { ...question, deadline_ms: 500 };
    const late = await post(asking, '/v1/chat/completions', short, PATIENTLY);
    assert.equal(late.status, 504);
    assert.match(await late.text(), /waited for a place, since: .* gone.*"code":"deadline_exceeded"/);
    const waiting = post(asking, '/v1/chat/completions', question, PATIENTLY);

    const forgotten = await post(asking, `/nodes/${serving.nodeId}/forget`, {});
    assert.equal(forgotten.status, 200, await forgotten.text());
    const { nodes, instances } = await asking.state();
    assert.deepEqual([Object.keys(nodes), instances], [[asking.nodeId], {}]);
    assert.match(await (await waiting).text(), /waits for a place/, 'there is nothing left to wait for');
    assert.ok(!isOver, 'what is wished for may be served again: the answer waits');
    const again = await group.restart(serving, hosts.host(2), '--failpoints');
    await group.agreed();
    // The node was forgotten, and its instance with it; what a user wants to run there was not.
    await group.ready(1);
    const [made] = Object.values((await asking.state()).instances);
    assert.deepEqual(
      made?.shards.map((shard) => shard.node_id),
      [again.nodeId],
    );
    const answered = await moved;
    assert.equal(answered.fault, null, JSON.stringify(answered.fault));
    assert.deepEqual(answered.choices, undisturbed.choices);
  },
);

test('R35: killed all at once and started without a word, they serve what they served', BOUND, async (t) => {
  const { hosts, group } = await setUp(t, 3);
  for (const host of hosts.hosts) {
    await group.add(host, ...(host.number === 1 ? ['--no-worker'] : ['--serve', MODEL]));
  }
  await group.agreed();
  await group.ready(2);
  const before = Object.keys((await group.agreed()).instances).sort();
  for (const node of group.nodes) node.child.kill('SIGKILL');
  await Promise.all(group.nodes.map(({ exited }) => exited));
  await Promise.all(
    group.nodes.map((node, i) => group.restart(node, hosts.host(i + 1), ...(i === 0 ? ['--no-worker'] : []))),
  );
  await group.agreed();
  await group.ready(2);
  const [first] = group.nodes as [NodeProcess];
  assert.deepEqual(Object.keys((await first.state()).instances).sort(), before);
  assert.ok((await answer(first)).length > 0);
});

test('R57, R72: who follows the events of a node hears of the new master', BOUND, async (t) => {
  const { hosts, group } = await setUp(t, 2);
  const master = await group.add(hosts.host(1), '--no-worker');
  await group.agreed();
  const left = await group.add(hosts.host(2), '--no-worker');
  assert.equal(await group.master(), master);
  const signal = AbortSignal.timeout(BOUND.timeout);
  const response = await fetch(`${left.url}/events`, { signal });
  master.child.kill('SIGKILL');
  const heard = { elected: false, dead: false };
  let rest = '';
  for await (const text of (response.body as ReadableStream<Uint8Array>).pipeThrough(
    new TextDecoderStream(),
  )) {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines.filter((one) => one.startsWith('data: '))) {
      const { event } = JSON.parse(line.slice('data: '.length)) as {
        event?: { kind: string; node_id?: string; status?: string };
      };
      heard.elected ||= event?.kind === 'MasterElected' && event.node_id === left.nodeId;
      heard.dead ||= event?.kind === 'NodeStatusChanged' && event.status === 'dead';
    }
    if (heard.elected && heard.dead) break;
  }
  assert.deepEqual(heard, { elected: true, dead: true });
});

test(
  'R35, R81: a full disk of the master stops nobody; a torn write is as if it had not been',
  BOUND,
  async (t) => {
    const { hosts, group } = await setUp(t, 2);
    const master = await group.add(hosts.host(1), '--no-worker', '--failpoints');
    await group.agreed();
    const serving = await group.add(hosts.host(2), '--serve', MODEL, '--failpoints');
    await group.agreed();
    await group.ready(1);
    assert.equal(await group.master(), master);
    const fail = async (name: string, arg?: string) => {
      const response = await post(master, '/debug/failpoints', {
        name,
        ...(arg === undefined ? {} : { arg }),
      });
      assert.equal(response.status, 200, await response.text());
    };
    await fail('store.disk_full');
    const expected = await answer(serving);
    const [id = ''] = await instancesOn(serving, master);
    const deleted = await fetch(`${serving.url}/instance/${id}`, { method: 'DELETE' });
    assert.equal(deleted.status, 202, await deleted.text());
    for (const node of group.nodes) await node.until('told', ({ instances }) => !(id in instances));
    await fail('store.disk_full', '0');
    await group.agreed();

    await fail('store.torn_write');
    // Its start is news for the log of the master, which dies of writing it down.
    assert.equal(await serving.end(), 0);
    assert.equal(await master.exited, 'SIGKILL');
    await group.restart(master, hosts.host(1), '--no-worker');
    await group.restart(serving, hosts.host(2), '--serve', MODEL);
    await group.agreed();
    await group.ready(1);
    const [again] = group.nodes as [NodeProcess];
    assert.ok(!(id in (await again.state()).instances), 'what was deleted stays so');
    assert.equal(await answer(again), expected);
  },
);

test('R55: a home of one cluster does not become one of another: the start says so', BOUND, async (t) => {
  const group = new NodeGroup();
  t.after(() => group.stop());
  const first = await group.add(null, '--peer-host', '127.0.0.1', '--no-discovery');
  const second = await group.add(
    null,
    ...['--peer-host', '127.0.0.1', '--no-discovery', '--peer', first.peerAddress],
  );
  await group.agreed();
  await second.end();
  group.nodes.pop();
  await assert.rejects(
    NodeProcess.startAgain(second, HERE, '--token', newToken()),
    /token is of another cluster than the home folder/,
  );
});

test('R1, R80: a node without an API serves for one that computes nothing', BOUND, async (t) => {
  const group = new NodeGroup();
  t.after(() => group.stop());
  const local = ['--peer-host', '127.0.0.1', '--no-discovery'];
  const asking = await group.add(null, ...local, '--no-worker');
  const serving = await group.add(null, ...local, '--no-api', '--serve', MODEL, '--peer', asking.peerAddress);
  await asking.until('serving', ({ nodes, instances }) => {
    const statuses = Object.values(instances).map(({ status }) => status);
    return nodes[serving.nodeId]?.status === 'alive' && statuses.length === 1 && statuses[0] === 'ready';
  });
  assert.equal(serving.url, null);
  assert.ok((await answer(asking)).length > 0);
  assert.equal(await serving.end(), 0);
  await shows(asking, serving, 'dead');
});
