/** What every implementation of `PeerLinks` must do, as tests. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once, setMaxListeners } from 'node:events';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { describe, type TestContext, test } from 'node:test';
import { ShoalError } from '../../../shared/errors.js';
import { FrameError } from '../../../shared/frames.js';
import type { NodeId } from '../../../shared/ids.js';
import { LIMITS } from '../../../shared/limits.js';
import { NodeKey } from '../../nodeKey.js';
import type { PeerLinks } from '../contract.js';
import { until, Witness } from './witness.js';

/** One node of a test. */
interface Subject {
  readonly nodeId: NodeId;
  readonly links: PeerLinks;
  /** Where others can dial it. */
  readonly address: string;
}

interface SubjectOptions {
  readonly key: NodeKey;
  readonly incarnation: number;
}

/** Starts nodes of one cluster; all are closed at the end of the test. */
type StartNode = (context: TestContext, options: SubjectOptions) => Promise<Subject>;

interface Seen extends Subject {
  readonly witness: Witness;
}

const NEVER = new AbortController().signal;
setMaxListeners(0, NEVER);
const LIMIT = { timeout: 60_000 };

export function testLinks(implementation: string, startNode: StartNode): void {
  async function start(context: TestContext, key = NodeKey.make(), incarnation = 1): Promise<Seen> {
    const subject = await startNode(context, { key, incarnation });
    return { ...subject, witness: new Witness(subject.links) };
  }

  /** Two linked nodes, the one with the smaller id first. */
  async function pair(context: TestContext): Promise<readonly [Seen, Seen]> {
    const nodes = [await start(context), await start(context)];
    nodes.sort((left, right) => (left.nodeId < right.nodeId ? -1 : 1));
    const [first, second] = nodes as [Seen, Seen];
    first.links.dial(second.address);
    await linked(first, second);
    return [first, second];
  }

  async function stream(from: Seen, to: Seen): Promise<readonly [Duplex, Duplex]> {
    const served = new Promise<Duplex>((resolve) => {
      to.links.serveStreams('test', (_from, _head, far) => resolve(far));
    });
    return [await from.links.openStream(to.nodeId, 'test', {}, NEVER), await served];
  }

  describe(`links: ${implementation}`, { timeout: 300_000 }, () => {
    test('R54: dialling links two nodes; each hears once who the other is', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      for (const [self, other] of [
        [first, second],
        [second, first],
      ] as const) {
        assert.equal(self.witness.openings.length, 1);
        const peer = self.links.peers.get(other.nodeId)!;
        assert.equal(peer, self.witness.openings[0]);
        assert.equal(peer.nodeId, other.nodeId);
        assert.equal(peer.incarnation, 1);
        assert.equal(peer.address, other.address);
        await until('a round trip is measured', () => peer.roundTripUs !== null);
        assert.ok(peer.roundTripUs! > 0);
      }
    });

    test(
      'messages arrive whole and in order, in both directions, beside each other',
      LIMIT,
      async (context) => {
        const [first, second] = await pair(context);
        const messages = Array.from({ length: 200 }, (_, number) => ({
          number,
          text: 'ä'.repeat(number * 50),
          bytes: randomBytes(number % 7 === 0 ? 100_000 : 10),
        }));
        for (const message of messages) {
          first.links.send(second.nodeId, message);
          second.links.send(first.nodeId, message);
        }
        for (const [self, other] of [
          [first, second],
          [second, first],
        ] as const) {
          await until('all have arrived', () => self.witness.messages.length === messages.length);
          assert.deepEqual(
            self.witness.messages.map(({ message }) => message),
            messages,
          );
          assert.ok(self.witness.messages.every(({ from }) => from === other.nodeId));
        }
      },
    );

    test(
      'a message without a link is dropped; one that is too long is refused and ends nothing',
      LIMIT,
      async (context) => {
        const [first, second] = await pair(context);
        first.links.send(NodeKey.make().nodeId, 'nobody');
        const tooLong = Buffer.alloc(LIMITS.linkMessageBytes + 1);
        assert.throws(() => first.links.send(second.nodeId, tooLong), FrameError);
        const longest = Buffer.alloc(LIMITS.linkMessageBytes - 16, 7);
        first.links.send(second.nodeId, longest);
        first.links.send(second.nodeId, 'after');
        await until('both have arrived', () => second.witness.messages.length === 2);
        assert.ok(longest.equals(second.witness.messages[0]!.message as Buffer));
        assert.deepEqual(second.witness.closings, []);
      },
    );

    test(
      'a stream carries its head and bytes both ways, and each direction ends by itself',
      LIMIT,
      async (context) => {
        const [first, second] = await pair(context);
        for (const [opener, server] of [
          [first, second],
          [second, first],
        ] as const) {
          server.links.serveStreams('echo', (from, head, far) => {
            assert.equal(from, opener.nodeId);
            assert.deepEqual(head, { answer: 42, list: ['a'] });
            // The answer comes only after the question has ended.
            void readAll(far).then((bytes) => far.end(createHash('sha256').update(bytes).digest()));
          });
          const near = await opener.links.openStream(
            server.nodeId,
            'echo',
            { answer: 42, list: ['a'] },
            NEVER,
          );
          const question = randomBytes(5_000_000);
          near.end(question);
          assert.deepEqual(await readAll(near), createHash('sha256').update(question).digest());
          if (!near.closed) await once(near, 'close');
        }
      },
    );

    test('many streams at once, opened from both ends, stay apart', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      for (const { links } of [first, second]) {
        links.serveStreams('echo', (_from, _head, far) => void pipeline(far, far));
      }
      const calls = Array.from({ length: 60 }, async (_, number) => {
        const [from, to] = number % 2 === 0 ? [first, second] : [second, first];
        const near = await from.links.openStream(to.nodeId, 'echo', {}, NEVER);
        const sent = Array.from({ length: 20 }, (_, part) =>
          randomBytes(1 + ((number * 977 + part * 7919) % 30_000)),
        );
        for (const part of sent) near.write(part);
        near.end();
        assert.ok(Buffer.concat(sent).equals(await readAll(near)), `stream ${number}`);
      });
      await Promise.all(calls);
    });

    test(
      'a reader that stands still stops its writer at a bound, and nothing else',
      LIMIT,
      async (context) => {
        const [first, second] = await pair(context);
        const [near, far] = await stream(first, second);
        let writtenBytes = 0;
        const chunk = Buffer.alloc(16_384);
        const write = () => {
          do writtenBytes += chunk.length;
          while (near.write(chunk));
          // What the reader has room for at first, what the writer may hold, and one chunk more.
          assert.ok(
            writtenBytes <= 2 * LIMITS.streamWindowBytes + chunk.length,
            `${writtenBytes} bytes were taken`,
          );
        };
        near.on('drain', write);
        write();
        const [other] = await stream(second, first);
        for (let round = 0; round < 100; round += 1) {
          first.links.send(second.nodeId, round);
          other.write('x');
        }
        await until('the messages have passed', () => second.witness.messages.length === 100);
        await until('the writer stands still', () => near.writableNeedDrain && far.readableLength > 0);
        near.off('drain', write);
        near.end();
        assert.equal((await readAll(far)).length, writtenBytes);
      },
    );

    test(
      'a reader that pauses at each piece, and one that resumes later, get everything',
      LIMIT,
      async (context) => {
        const [first, second] = await pair(context);
        const [near, far] = await stream(first, second);
        const sent = randomBytes(1_000_000);
        const parts: Buffer[] = [];
        far.on('data', (part: Buffer) => {
          parts.push(part);
          far.pause();
          setImmediate(() => far.resume());
        });
        near.write(sent);
        near.end();
        await once(far, 'end');
        assert.ok(sent.equals(Buffer.concat(parts)));
      },
    );

    test('a reader that takes a little at a time gets everything', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      const [near, far] = await stream(first, second);
      const sent = randomBytes(700_000);
      near.end(sent);
      const parts: Buffer[] = [];
      let size = 0;
      while (size < sent.length) {
        const part = far.read(Math.min(1_777, far.readableLength)) as Buffer | null;
        if (part === null) await once(far, 'readable');
        else {
          parts.push(part);
          size += part.length;
        }
      }
      assert.ok(sent.equals(Buffer.concat(parts)));
    });

    test(
      'a kind that is not served, a handler that refuses and one that fails are faults of the opening',
      LIMIT,
      async (context) => {
        const [first, second] = await pair(context);
        const open = (kind: string, to = second.nodeId) => first.links.openStream(to, kind, {}, NEVER);
        await assert.rejects(open('nothing'), { code: 'not_found' });
        second.links.serveStreams('full', () => {
          throw new ShoalError('queue_full', 'no place');
        });
        await assert.rejects(open('full'), { code: 'queue_full', message: 'no place' });
        second.links.serveStreams('bug', () => {
          throw new TypeError('a bug');
        });
        await assert.rejects(open('bug'), { code: 'internal_error' });
        await assert.rejects(open('full', NodeKey.make().nodeId), { code: 'node_lost' });
        const longHead = { text: 'x'.repeat(LIMITS.streamHeadBytes) };
        await assert.rejects(first.links.openStream(second.nodeId, 'full', longHead, NEVER), {
          code: 'invalid_request',
        });
        assert.deepEqual(first.witness.closings, []);
      },
    );

    test('a signal ends the opening, and later the stream at both ends', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      const reason = new ShoalError('cancelled', 'enough');
      await assert.rejects(
        first.links.openStream(second.nodeId, 'test', {}, AbortSignal.abort(reason)),
        reason,
      );
      const served: Duplex[] = [];
      second.links.serveStreams('test', (_from, _head, far) => served.push(far));
      const early = new AbortController();
      const opening = first.links.openStream(second.nodeId, 'test', {}, early.signal);
      early.abort(reason);
      await assert.rejects(opening, reason);
      await until('the early one is closed there', () => served[0]?.closed === true);
      const late = new AbortController();
      const near = await first.links.openStream(second.nodeId, 'test', {}, late.signal);
      const errors: Error[] = [];
      near.on('error', (error) => errors.push(error));
      served[1]!.on('error', (error) => errors.push(error));
      late.abort(reason);
      await until('both ends are closed', () => near.closed && served[1]!.closed);
      assert.deepEqual(
        errors.map((error) => (error as ShoalError).code),
        ['cancelled', 'cancelled'],
      );
      assert.deepEqual(
        errors.map(({ message }) => message),
        ['enough', 'enough'],
      );
    });

    test('an end that is destroyed destroys the other, with its fault', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      const [near, far] = await stream(first, second);
      far.destroy(new ShoalError('runner_failed', 'it died'));
      const [error] = (await once(near, 'error')) as [ShoalError];
      assert.equal(error.code, 'runner_failed');
      assert.equal(error.message, 'it died');
      const [near2, far2] = await stream(first, second);
      near2.write(Buffer.alloc(10_000_000));
      near2.destroy();
      const [error2] = (await once(far2, 'error')) as [ShoalError];
      assert.equal(error2.code, 'cancelled');
    });

    test('the streams of one link are bounded, and the bound frees with them', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      second.links.serveStreams('test', (_from, _head, far) => far.resume().on('end', () => far.end()));
      const open = () => first.links.openStream(second.nodeId, 'test', {}, NEVER);
      const all = await Promise.all(Array.from({ length: LIMITS.linkStreams }, open));
      await assert.rejects(open(), { code: 'queue_full' });
      for (const near of all) near.resume().end();
      await until('all are closed', () => all.every((near) => near.closed));
      const [one] = await Promise.all(Array.from({ length: LIMITS.linkStreams }, open));
      assert.ok(one);
    });

    test('closing tells the other end, and breaks its streams with node_lost', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      const [near, far] = await stream(first, second);
      const broken = once(near, 'error') as Promise<[ShoalError]>;
      const opening = first.links.openStream(second.nodeId, 'test', {}, NEVER);
      const refused = assert.rejects(opening, { code: 'node_lost' });
      await second.links.close();
      await refused;
      assert.equal((await broken)[0].code, 'node_lost');
      assert.ok(far.destroyed);
      assert.equal(first.links.peers.size, 0);
      assert.match(first.witness.closings[0]!.reason, /stopping/);
      await assert.rejects(first.links.openStream(second.nodeId, 'test', {}, NEVER), { code: 'node_lost' });
    });

    test(
      'nodes that dial each other at the same time keep one link, the same at both ends',
      LIMIT,
      async (context) => {
        for (let round = 0; round < 15; round += 1) {
          const [first, second] = [await start(context), await start(context)];
          for (let dials = 0; dials <= round % 3; dials += 1) {
            first.links.dial(second.address);
            second.links.dial(first.address);
          }
          await linked(first, second);
          const [near, far] = await stream(first, second);
          near.write('still here');
          for (let number = 0; number < 20; number += 1) {
            first.links.send(second.nodeId, number);
            second.links.send(first.nodeId, number);
          }
          for (const { witness } of [first, second]) {
            await until('all messages have arrived', () => witness.messages.length === 20);
            assert.equal(witness.openings.length - witness.closings.length, 1);
          }
          assert.ok(!near.destroyed && !far.destroyed);
          await Promise.all([first.links.close(), second.links.close()]);
        }
      },
    );

    test(
      'R54: a node that comes back is linked again, as a newer life in the place of the older',
      LIMIT,
      async (context) => {
        const first = await start(context);
        const key = NodeKey.make();
        const second = await start(context, key, 1);
        second.links.dial(first.address);
        await linked(first, second);
        // The old process lives on: what its machine was told to forget must not come back.
        const newer = await start(context, key, 2);
        newer.links.dial(first.address);
        await until('the newer life is linked', () => first.links.peers.get(key.nodeId)?.incarnation === 2);
        assert.equal(first.witness.openings.length, 2);
        assert.equal(first.witness.closings.length, 1);
        await second.links.close();
        first.links.send(key.nodeId, 'to the newer life');
        await until('it gets it', () => newer.witness.messages.length === 1);
        await newer.links.close();
        const newest = await start(context, key, 3);
        newest.links.dial(first.address);
        await until('the newest life is linked', () => first.links.peers.get(key.nodeId)?.incarnation === 3);
      },
    );

    test('R55: a node that dials itself gets no link', LIMIT, async (context) => {
      const node = await start(context);
      const other = await start(context);
      node.links.dial(node.address, { keep: true });
      node.links.dial(other.address);
      await linked(node, other);
      assert.deepEqual([...node.links.peers.keys()], [other.nodeId]);
      assert.equal(node.witness.openings.length, 1);
    });

    test('what is no address is refused', LIMIT, async (context) => {
      const { links } = await start(context);
      for (const address of [
        '',
        ':',
        'a:b:c',
        'host:0',
        'host:70000',
        '[host]:1',
        'a b:1',
        '[::1',
        'host:-1',
      ]) {
        assert.throws(() => links.dial(address), { code: 'invalid_request' }, address);
      }
    });

    test('1,000 streams, opened and closed in every way, leave nothing', LIMIT, async (context) => {
      const [first, second] = await pair(context);
      second.links.serveStreams(
        'test',
        (_from, _head, far) => void pipeline(far, far).catch(() => undefined),
      );
      const ways: ((near: Duplex) => Promise<unknown>)[] = [
        (near) => readAll(near.end('question')),
        async (near) => near.destroy(),
        async (near) => near.write('x') && near.destroy(new Error('given up')),
        async (near) => near.end(),
      ];
      const open: Duplex[] = [];
      for (let number = 0; number < 1_000; number += 1) {
        const near = await first.links.openStream(second.nodeId, 'test', {}, NEVER);
        open.push(near.resume());
        await ways[number % ways.length]!(near);
      }
      await until('all are closed', () => open.every((near) => near.closed));
      assert.deepEqual(first.witness.closings, []);
    });
  });
}

async function linked(first: Seen, second: Seen): Promise<void> {
  const both = () => first.links.peers.has(second.nodeId) && second.links.peers.has(first.nodeId);
  await until('two nodes are linked', both);
}

/** All that comes until the other end ends; unlike an iteration it leaves the way back open. */
async function readAll(stream: Duplex): Promise<Buffer> {
  const parts: Buffer[] = [];
  stream.on('data', (part: Buffer) => parts.push(part));
  await once(stream, 'end');
  return Buffer.concat(parts);
}
