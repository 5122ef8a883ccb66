/**
 * What the way between two nodes adds to a token: from its making by a timer to its arrival at the consumer, from another
 * process over bare sockets and over an encrypted link, against the direct call in this one. They take turns.
 *
 *   node dist/bench/generations/run.js [tokens of a stream = 300] [rounds = 4]
 */
import { RemoteGenerations } from '../../src/cluster/generations/remoteGenerations.js';
import type { GenerationStream } from '../../src/shared/generationStream.js';
import type { NodeId, RunnerId } from '../../src/shared/ids.js';
import { TEST_REQUEST } from '../../src/shared/testing.js';
import { CHILD_NODE, startServingChild, stopServingChild } from '../../test/generations/servingChild.js';
import { SocketLinks } from '../../test/generations/socketLinks.js';
import { produceTokens, tokenAgeMs } from '../../test/generations/tokenProducer.js';
import { percentile } from '../api/measure.js';
import { startLinkedNode } from './linkedNode.js';

const TOKENS = Number(process.argv[2] ?? 300);
const ROUNDS = Number(process.argv[3] ?? 4);
const TOKEN_MS = 5;
const STREAMS = [1, 16, 64];
const RUNNER = 'runner' as RunnerId;
const MICROSECONDS_PER_MILLISECOND = 1_000;

async function agesOf(stream: GenerationStream, ages: number[]): Promise<void> {
  for await (const event of stream) {
    if (event.kind === 'delta') ages.push(tokenAgeMs(event.text) * MICROSECONDS_PER_MILLISECOND);
    if (event.kind === 'failed') throw new Error(event.fault.message);
  }
}

const links = await SocketLinks.listen('here' as NodeId);
const child = await startServingChild(links, TOKEN_MS);
const node = await startLinkedNode(TOKEN_MS);
const overSockets = new RemoteGenerations({ links });
const overLink = new RemoteGenerations({ links: node.links });
const request = { ...TEST_REQUEST, maxTokens: TOKENS };
const ways: Record<string, () => GenerationStream> = {
  direct: () => produceTokens(request, TOKEN_MS),
  sockets: () => overSockets.open(CHILD_NODE, RUNNER, request),
  link: () => overLink.open(node.nodeId, RUNNER, request),
};

console.log(
  `${TOKENS} tokens a stream, one every ${TOKEN_MS} ms, ${ROUNDS} rounds; µs from making to arrival\n`,
);
console.log('| streams at once | way | p50 | p99 | max |\n|---|---|---|---|---|');
for (const streams of STREAMS) {
  const measured = new Map(Object.keys(ways).map((way) => [way, [] as number[]]));
  for (let round = -1; round < ROUNDS; round += 1) {
    for (const [way, open] of Object.entries(ways)) {
      // The first round warms up.
      const ages = round < 0 ? [] : measured.get(way)!;
      await Promise.all(Array.from({ length: streams }, () => agesOf(open(), ages)));
    }
  }
  for (const [way, ages] of measured) {
    const cells = [0.5, 0.99, 1].map((share) => percentile(ages, share).toFixed(0));
    console.log(`| ${streams} | ${way} | ${cells.join(' | ')} |`);
  }
}
await stopServingChild(child);
await stopServingChild(node.child);
await node.links.close();
await links.close();
