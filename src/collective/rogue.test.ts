/** What a rank makes of another that has the secret and breaks the rules. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { type TestContext, test } from 'node:test';
import { pack, unpack } from 'msgpackr';
import type { ShoalError } from '../shared/errors.js';
import { LIMITS } from '../shared/limits.js';
import { encodeEndpoint } from './connect/endpoint.js';
import { connectCollective } from './connect.js';
import type { Collective } from './contract.js';
import { encodeHeader, KIND, type Kind } from './link/wire.js';
import { RogueRank } from './testing/rogueRank.js';

const LIMIT = { timeout: 20_000 };
const NOT_UNDERSTOOD = (error: ShoalError) =>
  error.code === 'peer_protocol_error' && error.details?.rank === 0 && error.details?.node === 'rogue';

/** Rank 1 is honest; rank 0 dials it, takes part in the first barrier, and then does as it likes. */
async function startBeside(
  context: TestContext,
): Promise<{ readonly rogue: RogueRank; readonly honest: Collective }> {
  const secret = randomBytes(32);
  let told: (blob: Uint8Array) => void = () => undefined;
  const blob = new Promise<Uint8Array>((resolve) => {
    told = resolve;
  });
  const connecting = connectCollective(
    { rank: 1, worldSize: 2, shape: 'mesh', secret, names: ['rogue', 'honest'] },
    (own) => {
      told(own);
      return Promise.resolve([encodeEndpoint({ rank: 0, addresses: ['127.0.0.1'], port: 1 }), own]);
    },
    { host: '127.0.0.1', operationMs: 10_000 },
  );
  const { port } = unpack(await blob) as { port: number };
  const rogue = await RogueRank.dial(secret, { rank: 0, size: 2 }, port);
  rogue.socket.on('error', () => undefined);
  rogue.stream.write(KIND.part, 0);
  const honest = await connecting;
  context.after(async () => {
    rogue.socket.destroy();
    await honest.close();
  });
  return { rogue, honest };
}

/** The next frame of the rogue has this number. */
const NEXT = 3;
const frame = (kind: number, sequence: number, tag: number, payload: Uint8Array = Buffer.alloc(0)) =>
  Buffer.concat([encodeHeader(kind as Kind, sequence, tag, payload.length), payload]);

const BREACHES: readonly (readonly [string, Buffer])[] = [
  ['garbage', randomBytes(64).fill(0, 0, 1)],
  ['a repeated frame', frame(KIND.part, NEXT - 1, 0)],
  ['a frame out of order', frame(KIND.tensor, NEXT + 1, 0)],
  ['too long a frame', encodeHeader(KIND.tensor, NEXT, 0, LIMITS.collectiveTensorBytes + 1)],
  ['the part of another operation', frame(KIND.part, NEXT, 7)],
  ['too long a part', frame(KIND.part, NEXT, 1, Buffer.alloc(44))],
  ['credit for what was never sent', frame(KIND.credit, NEXT, 1)],
  ['credit for a lane that is not there', frame(KIND.credit, NEXT, 2 ** 31)],
  ['a control frame in the name of the honest rank', frame(KIND.control, NEXT, 1)],
  ['a control frame in the name of nobody', frame(KIND.control, NEXT, 9)],
  ['a hello on an open link', frame(KIND.hello, NEXT, 0, Buffer.alloc(40))],
  ['a choice on an open link', frame(KIND.choose, NEXT, 0)],
  ['an abort that cannot be read', frame(KIND.abort, NEXT, 0, Buffer.from([0xc1, 1, 2]))],
];

for (const [what, bytes] of BREACHES) {
  test(`${what} closes the link with a fault that names the sender`, LIMIT, async (context) => {
    const { rogue, honest } = await startBeside(context);
    const pending = [honest.allReduce(new Float32Array(10)), honest.nextBroadcast(), honest.receive(0)];
    const checks = pending.map((operation) => assert.rejects(operation, NOT_UNDERSTOOD));
    rogue.socket.write(bytes);
    await Promise.all(checks);
    await assert.rejects(honest.send(0, 0, []), NOT_UNDERSTOOD);
    assert.equal((await honest.ended)?.code, 'peer_protocol_error');
  });
}

test('more than the window allows is refused, however small the messages are', LIMIT, async (context) => {
  const { rogue, honest } = await startBeside(context);
  const messages =
    Math.floor(LIMITS.collectiveControlWindowBytes / LIMITS.collectiveMessageOverheadBytes) + 200;
  for (let number = 0; number < messages; number += 1) rogue.stream.write(KIND.control, 0);
  assert.equal((await honest.ended)?.code, 'peer_protocol_error');
});

test('a fault that another rank tells is bounded and of one line', LIMIT, async (context) => {
  const { rogue, honest } = await startBeside(context);
  const message = `first\nsecond\u001b[2J${'x'.repeat(2_000)}`;
  rogue.socket.write(
    frame(KIND.abort, NEXT, 0, pack({ code: 'engine_error', message, rank: 0, node: 'a\nb' })),
  );
  const fault = await honest.ended;
  assert.equal(fault?.code, 'engine_error');
  assert.match(fault.message, /^first second \[2Jx+$/);
  assert.equal(fault.message.length, 1_000);
  assert.deepEqual(fault.details, { rank: 0, node: 'a b' });
});
