/**
 * What the way over a second node costs: the same requests to the node that has the model, and to one that only passes
 * them on, in turns; both are on this machine. Differences are those of the percentiles within this run.
 *
 *   node dist/bench/cluster/latency.js [requests = 200] [tokens = 64]
 */
import { NodeGroup } from '../../test/support/nodeGroup.js';
import type { NodeProcess } from '../../test/support/nodeProcess.js';
import { percentile, timeStream } from '../api/measure.js';

const REQUESTS = Number(process.argv[2] ?? 200);
const TOKENS = Number(process.argv[3] ?? 64);
const WARM_UP = 10;
const MODEL = 'shoal-guide';
const LOCAL = ['--peer-host', '127.0.0.1', '--no-discovery', '--log-level', 'error'];
const SHARES = [0.5, 0.99];

class Way {
  readonly firstMs: number[] = [];
  readonly nextMs: number[] = [];
  readonly #node: NodeProcess;

  constructor(node: NodeProcess) {
    this.#node = node;
  }

  async ask(isCounted: boolean): Promise<void> {
    const { chunksMs } = await timeStream(this.#node.url, {
      model: MODEL,
      messages: [{ role: 'user', content: 'Tell me a long story about a fox.' }],
      max_tokens: TOKENS,
      ignore_eos: true,
      temperature: 0,
    });
    if (!isCounted) return;
    const [first = Number.NaN, last = Number.NaN] = [chunksMs[0], chunksMs.at(-1)];
    this.firstMs.push(first);
    // Over a whole stream: how chunks lie within it is the scheduler's doing.
    this.nextMs.push((last - first) / (TOKENS - 1));
  }
}

const group = new NodeGroup();
try {
  const serving = await group.add(null, ...LOCAL, '--serve', MODEL);
  const passing = await group.add(null, ...LOCAL, '--no-worker', '--peer', serving.peerAddress);
  await group.agreed();
  await group.ready(1);
  const ways = { direct: new Way(serving), 'over another node': new Way(passing) };
  for (let i = -WARM_UP; i < REQUESTS; i += 1) for (const way of Object.values(ways)) await way.ask(i >= 0);
  console.log(`${REQUESTS} requests each, one at a time, of ${TOKENS} tokens; ms\n`);
  console.log('| | p50 | p99 |\n|---|---|---|');
  for (const [what, read] of [
    ['first token', (way: Way) => way.firstMs],
    ['each further token', (way: Way) => way.nextMs],
  ] as const) {
    const rows = Object.values(ways).map((way) => SHARES.map((share) => percentile(read(way), share)));
    const [direct, over] = rows as [number[], number[]];
    const added = over.map((ms, place) => ms - (direct[place] as number));
    for (const [name, values] of [...Object.keys(ways), '**added**'].map(
      (name, place) => [name, [direct, over, added][place] as number[]] as const,
    )) {
      console.log(`| ${what}: ${name} | ${values.map((ms) => ms.toFixed(3)).join(' | ')} |`);
    }
  }
} finally {
  await group.stop();
}
