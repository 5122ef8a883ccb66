import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Measurements } from '../control/measurements.js';
import type { NodeId } from '../shared/ids.js';
import { type Register, readRegister } from './registerForm.js';
import { Registers } from './registers.js';

const HERE = 'here' as NodeId;
const THERE = 'there' as NodeId;
const THIRD = 'third' as NodeId;

const link = (to: string, bandwidthBytesPerS: number | null = 1e8) => ({
  to: to as NodeId,
  interfaceKind: 'wired' as const,
  rttUs: 200,
  bandwidthBytesPerS,
  rdma: false,
});

const register = (...links: Register['links']): Register => ({
  memory: { totalBytes: 2, availableBytes: 1 },
  cpu: { cores: 2, loadAverage: 0.1 },
  speed: { memoryBytesPerSecond: 25e9, operationsPerSecond: 1e11 },
  generatedTokens: 5,
  apiUrl: '',
  links,
  runners: {},
});

/** The registers of `here`, with what placement was told last. */
async function told(own: Register, others: ReadonlyMap<NodeId, string>): Promise<Measurements> {
  return new Promise((resolve) => {
    let receive: (from: NodeId, message: unknown) => void = () => undefined;
    const registers = new Registers({
      nodeId: HERE,
      links: { peers: new Map(), send: () => undefined },
      cluster: {
        listen: (listener) => {
          receive = (from, message) => listener.received?.(from, message);
          return () => undefined;
        },
        tellMeasured: (measured) => {
          registers.close();
          resolve(measured);
        },
      },
      read: () => own,
      now: () => 0,
    });
    for (const [from, text] of others) receive(from, { kind: 'Register', register: text });
    registers.start();
  });
}

test('R38: a node alone knows its own speed', async () => {
  const { links, speeds } = await told(register(), new Map());
  assert.deepEqual(links, []);
  assert.equal(speeds.get(HERE)?.memoryBytesPerSecond, 25e9);
});

test('R24: placement is told of speeds, of links, and of links that one end has not', async () => {
  const others = new Map([
    [THERE, JSON.stringify({ ...register(link(HERE)), speed: null })],
    [THIRD, JSON.stringify(register())],
  ]);
  const { links, speeds } = await told(register(link(THERE), link(THIRD)), others);
  assert.deepEqual([...speeds.keys()].sort(), [HERE, THIRD]);
  const found = links.map(({ from, to, isConnected }) => `${from} ${to} ${isConnected}`).sort();
  assert.deepEqual(found, [
    'here there true',
    'here third true',
    'there here true',
    'there third false',
    'third here false',
    'third there false',
  ]);
  const [first] = links;
  assert.deepEqual([first?.roundTripUs, first?.bytesPerSecond, first?.rdma], [200, 1e8, false]);
});

test('R38: what another node says of itself is believed only as far as it makes sense', () => {
  const whole = register(link(HERE));
  assert.deepEqual(readRegister(JSON.stringify(whole)), whole);
  const speed = { memoryBytesPerSecond: 1e300, operationsPerSecond: 1 };
  const odd = {
    ...whole,
    speed,
    links: [null, 3, {}, { to: 'x'.repeat(1_000) }, { to: 'a', rttUs: -1, rdma: 1 }],
  };
  const read = readRegister(JSON.stringify(odd));
  assert.equal(read?.speed, null);
  assert.deepEqual(read?.links, [
    { to: 'a', interfaceKind: null, rttUs: null, bandwidthBytesPerS: null, rdma: false },
  ]);
  const { speed: _, ...older } = whole;
  assert.equal(readRegister(JSON.stringify(older))?.speed, null, 'an older version tells none');
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      const value = readRegister(text);
      assert.ok(value === null || value.links.length >= 0);
    }),
  );
});

test('R12: of a register, what is said of runners is plain, so that it can be shown whatever a node says', () => {
  const deep = `${'{"a":'.repeat(20_000)}1${'}'.repeat(20_000)}`;
  const model = { architecture: 'llama', backends: ['CPU'] };
  const own = { ...register(), runners: { r: { progress: 0.5, model, load: null } } };
  assert.deepEqual(readRegister(JSON.stringify(own))?.runners, own.runners);
  for (const facts of [deep, `{"load":${deep}}`, `{"model":{"backends":[${deep}]}}`, '7', '[[1]]', 'null']) {
    const text = JSON.stringify(own).replace(/"runners":.*$/, `"runners":{"r":${facts}}}`);
    const read = readRegister(text)?.runners;
    assert.ok(JSON.stringify(read).length < 100, JSON.stringify(read).slice(0, 100));
  }
});
