/** What the ranks of one model see when one of them dies, stands still, or is stopped. */
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import type { Fault } from '../../src/shared/errors.js';
import { evenLayers, RankWorld } from './rankWorld.js';
import type { RunnerClient } from './runnerClient.js';
import { type TinyModelFile, tinyModelFile } from './tinyModelFile.js';

const LIMIT = { timeout: 120_000 };
const LAYERS = 3;
const CULPRIT = 1;

let model: TinyModelFile;
before(() => {
  model = tinyModelFile(undefined, { layers: LAYERS });
});
after(() => model.remove());

async function withWorld(
  transport: 'Ring' | 'Mesh',
  action: (world: RankWorld) => Promise<void>,
): Promise<void> {
  const world = await RankWorld.start({ modelPath: model.path, transport, layers: evenLayers(LAYERS, 3) });
  try {
    await action(world);
  } finally {
    await world.stop();
  }
}

async function faultOf(runner: RunnerClient): Promise<Fault> {
  const fatal = await runner.waitFor((message) => message.kind === 'fatal');
  assert.ok(fatal.kind === 'fatal');
  return fatal.fault;
}

/** Resolves in mid-answer. */
function answering({ leader }: RankWorld): Promise<void> {
  return new Promise((resolve) => {
    leader.generate({ maxTokens: 400, ignoreEos: true }, (event) => event.kind === 'delta' && resolve());
  });
}

describe('faults of ranks', { concurrency: 2 }, () => {
  for (const transport of ['Ring', 'Mesh'] as const) {
    for (const state of ['idle', 'in mid-answer'] as const) {
      test(`R7: a rank that dies ${state} (${transport}) ends the others, who name it`, LIMIT, async () => {
        await withWorld(transport, async (world) => {
          await world.ready();
          if (state === 'in mid-answer') await answering(world);
          world.runners[CULPRIT]!.child.kill('SIGKILL');
          for (const rank of [0, 2]) {
            const runner = world.runners[rank]!;
            const { code, details } = await faultOf(runner);
            assert.equal(code, 'node_lost');
            assert.deepEqual(details, { rank: CULPRIT, node: `node-${CULPRIT}` });
            assert.equal((await runner.exited).code, 1);
          }
        });
      });
    }
  }

  test('R7: a rank that dies while the ranks meet, or load, ends the others in time', LIMIT, async () => {
    for (const phase of ['connecting', 'loading', 'warming_up'] as const) {
      await withWorld('Ring', async (world) => {
        await world.runners[CULPRIT]!.waitFor(
          (message) => message.kind === 'phase' && message.phase === phase,
        );
        world.runners[CULPRIT]!.child.kill('SIGKILL');
        if (phase === 'connecting') {
          // Before they are linked only the supervisor knows; it stops the siblings.
          for (const rank of [0, 2]) world.runners[rank]!.send({ kind: 'shutdown' });
        }
        for (const rank of [0, 2]) await world.runners[rank]!.exited;
      });
    }
  });

  test('R7: a rank that stands still while nothing is to be done is named by the others', LIMIT, async () => {
    await withWorld('Ring', async (world) => {
      await world.ready();
      world.runners[CULPRIT]!.child.kill('SIGSTOP');
      for (const rank of [0, 2]) {
        const { code, details } = await faultOf(world.runners[rank]!);
        assert.deepEqual([code, details?.rank], ['deadline_exceeded', CULPRIT]);
      }
    });
  });

  test('R46: a stop ends all ranks in each phase, and none takes another for lost', LIMIT, async () => {
    for (const phase of ['connecting', 'loading', 'warming_up', 'ready', 'answering'] as const) {
      await withWorld('Ring', async (world) => {
        if (phase === 'ready' || phase === 'answering') await world.ready();
        else
          await world.runners[0]!.waitFor((message) => message.kind === 'phase' && message.phase === phase);
        if (phase === 'answering') await answering(world);
        for (const runner of world.runners) runner.send({ kind: 'shutdown' });
        for (const runner of world.runners) {
          const { code, signal } = await runner.exited;
          // While it loads it may be in native code for longer than an exit may take, and ends itself then.
          assert.ok(
            code === 0 || (phase === 'loading' && signal === 'SIGKILL'),
            `${phase}: ${runner.stderr}`,
          );
          assert.ok(runner.messages.every(({ kind }) => kind !== 'fatal'));
        }
      });
    }
  });

  test('R11, R12: cancels and bad requests leave all ranks in step', LIMIT, async () => {
    await withWorld('Ring', async (world) => {
      await world.ready();
      const { leader } = world;
      const ask = () => leader.complete({ input: { kind: 'text', text: 'afterwards' }, ignoreEos: true });
      const expected = await ask();
      for (let round = 0; round < 40; round++) {
        const cancelled = leader.generate({ input: { kind: 'text', text: `${round} `.repeat(140) } });
        await new Promise((resolve) => setTimeout(resolve, round % 7));
        leader.send({ kind: 'cancel', request: cancelled.request });
        const wrong = leader.complete({ input: { kind: 'tokens', tokens: [1, 99_999] } });
        const next = ask();
        assert.ok([undefined, 'cancelled'].includes((await cancelled.ended).fault?.code));
        assert.equal((await wrong).fault?.code, 'invalid_request');
        assert.deepEqual((await next).tokens, expected.tokens);
      }
    });
  });

  test('R44: every rank shows that it lives while it waits for the others', LIMIT, async () => {
    await withWorld('Mesh', async (world) => {
      await world.ready();
      for (const runner of world.runners) {
        const beats = () =>
          runner.messages.flatMap((message) => (message.kind === 'heartbeat' ? [message.pulse.counter] : []));
        const known = beats().length;
        await runner.waitFor((message) => message.kind === 'heartbeat' && beats().length >= known + 2);
        const [earlier, later] = beats().slice(-2);
        assert.ok(later! > earlier!);
      }
    });
  });
});
