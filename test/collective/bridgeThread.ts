/** A thread that computes: it blocks in every operation of its rank, and never returns to its event loop meanwhile. */
import { parentPort, workerData } from 'node:worker_threads';
import { BlockingCollective, type Ticket } from '../../src/collective/bridge/blockingCollective.js';
import type { BridgeMemory } from '../../src/collective/bridge/layout.js';
import { toFault } from '../../src/shared/errors.js';
import { LIMITS } from '../../src/shared/limits.js';

export interface BridgeTask {
  readonly memory: BridgeMemory;
  readonly rank: number;
  readonly worldSize: number;
  /** `work` uses every operation; `wait` waits for a tensor that never comes. */
  readonly work: 'work' | 'wait';
}

const { memory, rank, worldSize, work } = workerData as BridgeTask;
const collective = new BlockingCollective(memory);
const [before, after] = [(rank + worldSize - 1) % worldSize, (rank + 1) % worldSize];

try {
  if (work === 'wait') {
    const ticket = collective.receive(before, collective.allocate(8), undefined, null);
    if (ticket.wait(50) || ticket.hasEnded) throw new Error('nothing came, and yet it has ended');
    parentPort!.postMessage('waiting');
    ticket.wait();
  } else {
    sum();
    passAround();
    tellAll();
    refuse();
    collective.barrier().wait();
  }
  parentPort!.postMessage('done');
} catch (error) {
  parentPort!.postMessage(toFault(error));
}

function sum(): void {
  const buffer = collective.allocateFloats(4_096);
  for (let round = 0; round < 200; round += 1) {
    buffer.fill(rank + round);
    collective.allReduce(buffer).wait();
    const expected = (worldSize * (worldSize - 1)) / 2 + worldSize * round;
    if (!buffer.every((value) => value === expected)) throw new Error(`${buffer[0]} instead of ${expected}`);
  }
}

/** Several operations are on their way at once. */
function passAround(): void {
  const out = [0, 1, 2].map(() => collective.allocate(10_000));
  const into = [0, 1, 2].map(() => collective.allocate(10_000));
  for (let round = 0; round < 50; round += 1) {
    const tickets: Ticket[] = [];
    for (const [index, bytes] of out.entries()) {
      bytes.fill(rank + index);
      tickets.push(collective.send(after, 2 ** 32 - 1 - index, bytes.subarray(0, 5_000 + round)));
    }
    for (const [index, bytes] of into.entries()) {
      const ticket = collective.receive(before, bytes, index === 1 ? 2 ** 32 - 2 : undefined);
      ticket.wait();
      if (ticket.tag !== 2 ** 32 - 1 - index || ticket.length !== 5_000 + round)
        throw new Error('another tensor');
      if (bytes[ticket.length - 1] !== before + index) throw new Error('other bytes');
    }
    for (const ticket of tickets) ticket.wait();
  }
}

function tellAll(): void {
  const frame = collective.allocate(LIMITS.collectiveControlBytes);
  const own = collective.allocate(16);
  own.fill(rank);
  collective.broadcast(own).wait();
  const heard = new Set<number>();
  while (heard.size < worldSize - 1) {
    const ticket = collective.nextBroadcast(frame);
    ticket.wait();
    if (ticket.length !== 16 || frame[15] !== ticket.peer) throw new Error('another frame');
    heard.add(ticket.peer);
  }
}

function refuse(): void {
  for (const ask of [
    () => collective.send(rank, 0, collective.allocate(1)).wait(),
    () => collective.send(after, 0, new Uint8Array(1)).wait(),
    () => collective.nextBroadcast(collective.allocate(1)).wait(),
  ]) {
    let code = 'nothing was thrown';
    try {
      ask();
    } catch (error) {
      code = toFault(error).code;
    }
    if (code !== 'invalid_request') throw new Error(code);
  }
}
