/** Runners that meet through named pipes, relayed by a worker and gathered by a master. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { SideChannel } from '../../src/collective/sideChannel/sideChannel.js';
import type { Fault, ShoalError } from '../../src/shared/errors.js';
import type { InstanceId } from '../../src/shared/ids.js';
import { LIMITS } from '../../src/shared/limits.js';
import { openReadEnd, openWriteEnd } from '../../src/shared/sideChannel/pipeEnds.js';
import { encodeBlobs } from '../../src/shared/sideChannel/wire.js';
import { removeLeftPipes } from '../../src/worker/sideChannel/pipes.js';
import { type Gather, type RelayOptions, SideChannelRelay } from '../../src/worker/sideChannel/relay.js';
import { GatheringMaster } from '../support/gatheringMaster.js';
import { Lines } from '../support/lines.js';

const CHILD = fileURLToPath(new URL('./meetingChild.js', import.meta.url));
const LIMIT = { timeout: 120_000 };
const INSTANCE = 'instance' as InstanceId;
const NEVER: Gather = () => new Promise(() => undefined);
const NOBODY = new AbortController().signal;

function folderOf(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'shoal-side-channel-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

async function openRelay(
  context: TestContext,
  gather: Gather,
  rank = 0,
  options: Partial<RelayOptions> = {},
): Promise<{ readonly relay: SideChannelRelay; readonly faults: Fault[]; readonly folder: string }> {
  const faults: Fault[] = [];
  const folder = options.folder ?? folderOf(context);
  const components = { instanceId: INSTANCE, rank, gather, onFailed: (fault: Fault) => faults.push(fault) };
  const relay = await SideChannelRelay.open(components, { folder, ...options });
  context.after(() => relay.close());
  return { relay, faults, folder };
}

function spawnRunner(
  context: TestContext,
  relay: SideChannelRelay,
  parameters: readonly string[],
): ChildProcess {
  const child = spawn(process.execPath, [CHILD, ...parameters], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...relay.environment },
  });
  context.after(() => child.kill('SIGKILL'));
  return child;
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const endsAt = performance.now() + 15_000;
  while (!condition()) {
    if (performance.now() > endsAt) throw new Error(`waited too long: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

test(
  'R51: ranks in processes of their own meet through their pipes and become a collective',
  LIMIT,
  async (context) => {
    const worldSize = 3;
    const gather = new GatheringMaster().gatherOf(worldSize);
    const secret = randomBytes(32).toString('hex');
    const ends = Array.from({ length: worldSize }, async (_, rank) => {
      const { relay, faults, folder } = await openRelay(context, gather, rank);
      const child = spawnRunner(context, relay, ['sum', String(rank), String(worldSize), secret]);
      const lines = new Lines(child);
      assert.deepEqual(JSON.parse(await lines.until('sum', () => true)), { sum: [3, 3] });
      if (child.exitCode === null) await once(child, 'exit');
      assert.equal(child.exitCode, 0);
      relay.close();
      assert.deepEqual(faults, []);
      assert.deepEqual(readdirSync(folder), []);
    });
    await Promise.all(ends);
  },
);

test(
  'R51, R53: blobs of any bytes, as long as they may be, reach all ranks in order, round after round',
  LIMIT,
  async (context) => {
    const worldSize = 4;
    const gather = new GatheringMaster().gatherOf(worldSize);
    const said = await Promise.all(
      Array.from({ length: worldSize }, async (_, rank) => {
        const { relay } = await openRelay(context, gather, rank);
        const lines = new Lines(spawnRunner(context, relay, ['blobs', String(rank), String(worldSize)]));
        await lines.until('the last round', (line) => line.startsWith('{"round":2,"all"'));
        return lines.all.map((line) => JSON.parse(line) as { round: number; own?: string; all?: string[] });
      }),
    );
    for (let round = 0; round < 3; round += 1) {
      const own = said.map(
        (messages) => messages.find((message) => message.round === round && message.own)!.own,
      );
      for (const messages of said) {
        assert.deepEqual(messages.find((message) => message.round === round && message.all)!.all, own);
      }
    }
  },
);

test(
  'R52: a runner that ends with its pipes open ends at once, and nothing is left of it',
  LIMIT,
  async (context) => {
    const { relay, faults, folder } = await openRelay(context, NEVER);
    const child = spawnRunner(context, relay, ['exit', '0', '2']);
    const [code] = await once(child, 'exit');
    assert.equal(code, 7);
    relay.close();
    assert.deepEqual(readdirSync(folder), []);
    assert.deepEqual(faults, []);
  },
);

test('R52: a runner that dies before it speaks holds nothing up', LIMIT, async (context) => {
  const { relay, folder } = await openRelay(context, NEVER);
  const child = spawnRunner(context, relay, ['hang', '0', '2']);
  await new Lines(child).until('its pipes', () => true);
  child.kill('SIGKILL');
  await once(child, 'exit');
  relay.close();
  relay.close();
  assert.deepEqual(readdirSync(folder), []);
});

test('R52: a worker that never opens its end is missed in time', LIMIT, async (context) => {
  const { relay } = await openRelay(context, NEVER);
  const environment = { ...relay.environment };
  const channel = new SideChannel(environment, { openMs: 100 });
  // The pipe of a relay that has died, and left its files.
  const dead = await openRelay(context, NEVER);
  const kept = { ...dead.relay.environment };
  dead.relay.close();
  channel.close();
  assert.throws(() => new SideChannel(kept), { code: 'not_ready' });
  assert.throws(() => new SideChannel({}), { code: 'not_ready' });
  const file = join(folderOf(context), 'file');
  writeFileSync(file, '');
  assert.throws(
    () => new SideChannel({ SHOAL_SIDE_CHANNEL_IN: file, SHOAL_SIDE_CHANNEL_OUT: file }),
    /no named pipe/,
  );
  // Nobody reads from what is the other direction's pipe.
  const deaf = new SideChannel(
    {
      SHOAL_SIDE_CHANNEL_IN: environment.SHOAL_SIDE_CHANNEL_OUT,
      SHOAL_SIDE_CHANNEL_OUT: environment.SHOAL_SIDE_CHANNEL_IN,
    },
    { openMs: 100 },
  );
  await assert.rejects(deaf.allGather(Buffer.from('x')), { code: 'deadline_exceeded' });
  await assert.rejects(deaf.allGather(Buffer.from('x')), { code: 'deadline_exceeded' });
});

test('R52: a round that does not fill up ends in time at both ends', LIMIT, async (context) => {
  const late = await openRelay(context, NEVER, 0, { roundMs: 100 });
  const channel = new SideChannel(late.relay.environment);
  await assert.rejects(channel.allGather(Buffer.from('x')), (error: ShoalError) => {
    return error.code === 'not_ready' && /within 100 ms/.test(error.message);
  });
  await until('the worker knows', () => late.faults.length === 1);
  assert.equal(late.faults[0]!.code, 'deadline_exceeded');
  assert.deepEqual(readdirSync(late.folder), []);
  const patient = await openRelay(context, NEVER);
  const impatient = new SideChannel(patient.relay.environment, { roundMs: 100 });
  await assert.rejects(impatient.allGather(Buffer.from('x')), { code: 'deadline_exceeded' });
});

test('R52: a dropped round ends for those that wait, with the reason', LIMIT, async (context) => {
  const master = new GatheringMaster();
  const { relay, faults } = await openRelay(context, master.gatherOf(2));
  const channel = new SideChannel(relay.environment);
  const waiting = assert.rejects(channel.allGather(Buffer.from('x')), /the instance was deleted/);
  await new Promise((resolve) => setTimeout(resolve, 50));
  master.drop(INSTANCE, 'the instance was deleted');
  await waiting;
  await until('the worker knows', () => faults.length === 1);
  assert.equal(faults[0]!.code, 'cancelled');
});

test('a round that is given up, or a closed channel, ends at once', LIMIT, async (context) => {
  const { relay } = await openRelay(context, NEVER);
  const channel = new SideChannel(relay.environment);
  const controller = new AbortController();
  const given = assert.rejects(channel.allGather(Buffer.from('x'), controller.signal), { code: 'cancelled' });
  await assert.rejects(channel.allGather(Buffer.from('y')), { code: 'invalid_request' });
  controller.abort();
  await given;
  await assert.rejects(channel.allGather(Buffer.from('z')), { code: 'cancelled' });
  const other = new SideChannel((await openRelay(context, NEVER)).relay.environment);
  const pending = assert.rejects(other.allGather(Buffer.from('x')), { code: 'cancelled' });
  other.close();
  await pending;
});

test('R53: what is too long, malformed or out of turn is refused', LIMIT, async (context) => {
  const { relay } = await openRelay(context, NEVER);
  const channel = new SideChannel(relay.environment);
  await assert.rejects(channel.allGather(new Uint8Array(LIMITS.sideChannelBlobBytes + 1)), {
    code: 'invalid_request',
  });
  channel.close();
  const tooLong = encodeBlobs(0, [Buffer.from('x')]);
  tooLong.writeUInt32LE(LIMITS.sideChannelBlobBytes + 1, 8);
  const tooMany = encodeBlobs(0, [Buffer.from('x'), Buffer.from('y')]);
  const twice = Buffer.concat([encodeBlobs(0, [Buffer.from('x')]), encodeBlobs(0, [Buffer.from('x')])]);
  for (const bytes of [tooLong, tooMany, twice, encodeBlobs(1, [Buffer.from('x')]), encodeBlobs(0, [])]) {
    const { relay: other, faults, folder } = await openRelay(context, NEVER);
    const writer = await openWriteEnd(other.environment.SHOAL_SIDE_CHANNEL_OUT!, 1_000, NOBODY);
    context.after(() => writer.destroy());
    writer.on('error', () => undefined);
    writer.write(bytes);
    await until('it is refused', () => faults.length === 1);
    assert.equal(faults[0]!.code, 'peer_protocol_error');
    assert.deepEqual(readdirSync(folder), []);
  }
});

test(
  'R53: a runner that asks for round after round and reads no answer is cut off',
  LIMIT,
  async (context) => {
    const blob = new Uint8Array(LIMITS.sideChannelBlobBytes);
    const { relay, faults } = await openRelay(context, () =>
      Promise.resolve(Array(16).fill(blob) as Uint8Array[]),
    );
    const unread = openReadEnd(relay.environment.SHOAL_SIDE_CHANNEL_IN!);
    context.after(() => unread.destroy());
    const writer = await openWriteEnd(relay.environment.SHOAL_SIDE_CHANNEL_OUT!, 1_000, NOBODY);
    context.after(() => writer.destroy());
    writer.on('error', () => undefined);
    for (let round = 0; faults.length === 0 && round < 1_000; round += 1) {
      writer.write(encodeBlobs(round, [Buffer.from('x')]));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    assert.match(faults[0]!.message, /without having read/);
  },
);

test('R52: 1,000 side channels, used and closed, leave no pipe, socket or file', LIMIT, async (context) => {
  const folder = folderOf(context);
  const open = () => process.getActiveResourcesInfo().filter((kind) => /Pipe|File|Process/.test(kind)).length;
  const descriptors = () => readdirSync('/dev/fd').length;
  const cycle = async (isUsed: boolean) => {
    const relay = await SideChannelRelay.open(
      {
        instanceId: INSTANCE,
        rank: 0,
        gather: (_instance, _round, _rank, blob) => Promise.resolve([blob]),
        onFailed: (fault) => assert.fail(fault.message),
      },
      { folder },
    );
    if (isUsed) {
      const channel = new SideChannel(relay.environment);
      assert.deepEqual((await channel.allGather(Buffer.from('x'))).map(String), ['x']);
      channel.close();
    }
    relay.close();
  };
  await cycle(true);
  const before = [open(), descriptors()] as const;
  for (let number = 0; number < 1_000; number += 1) await cycle(number % 4 !== 0);
  assert.deepEqual(readdirSync(folder), []);
  await until('nothing is open', () => open() <= before[0] && descriptors() <= before[1]);
});

test('what an earlier life left is removed', LIMIT, async (context) => {
  const folder = join(folderOf(context), 'pipes');
  await openRelay(context, NEVER, 0, { folder });
  assert.equal(readdirSync(folder).length, 1);
  removeLeftPipes(folder);
  assert.equal(existsSync(folder), false);
});
