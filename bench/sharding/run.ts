/**
 * One model over two runner processes of one thread and one core each, against one such process, on this machine:
 * `node dist/bench/sharding/run.js [pipeline|tensor|delays] [qwen3-0.6b|qwen3-1.7b] [q4_0|q8_0] [rounds]`. They take
 * turns; a ratio is the median over the rounds. `delays` puts a cable between the ranks, with the cost model's word on it
 * beside. Needs two free cores. Linux only.
 */
import { type Format, randomModel, type ShapeName } from '../engine/randomModel.js';
import { median } from '../median.js';
import { predict } from './prediction.js';
import { type Measured, measure, Side } from './side.js';

const [part = 'pipeline', shape = 'qwen3-0.6b', format = 'q4_0', roundCount = '5'] = process.argv.slice(2);
const modelPath = randomModel(shape as ShapeName, format as Format);
const rounds = Number(roundCount);
const DELAYS_MS = [0, 0.2, 1, 5];
const GIGABIT = 125e6;
const NO_CABLE = { delayMs: 0, bytesPerSecond: 1e10 };

if (part === 'delays') await delays();
else await compare(part === 'tensor' ? 'Tensor' : 'Pipeline');

async function compare(sharding: 'Pipeline' | 'Tensor'): Promise<void> {
  console.log(`${sharding}, ${shape}, ${format}, ${rounds} rounds`);
  const { layers } = await predict({ modelPath, sharding, cable: NO_CABLE });
  console.log(`layers by rank: ${layers.map(({ first, end }) => end - first).join(', ')}\n`);
  console.log('| sequences | one rank tok/s | two ranks tok/s | ratio | busy, rank 0 | busy, rank 1 |');
  console.log('|---|---|---|---|---|---|');
  const whole = await Side.start({ modelPath, layers: null, sharding });
  const two = await Side.start({ modelPath, layers, sharding });
  try {
    for (const sequences of [1, 2, 4, 8]) {
      const pairs: { one: Measured; two: Measured }[] = [];
      for (let round = 0; round < rounds; round += 1) {
        const first = round % 2 === 0;
        const early = await measure(first ? whole : two, sequences);
        const late = await measure(first ? two : whole, sequences);
        pairs.push(first ? { one: early, two: late } : { one: late, two: early });
      }
      const of = (side: 'one' | 'two', what: (one: Measured) => number) =>
        median(pairs.map((pair) => what(pair[side])));
      const speed = ({ tokensPerSecond }: Measured) => tokensPerSecond;
      const busy = (rank: number) => of('two', ({ busyShares }) => busyShares[rank] ?? 0).toFixed(2);
      const ratio = median(pairs.map((pair) => speed(pair.two) / speed(pair.one)));
      console.log(
        `| ${sequences} | ${of('one', speed).toFixed(1)} | ${of('two', speed).toFixed(1)} | ${ratio.toFixed(2)} | ${busy(0)} | ${busy(1)} |`,
      );
    }
  } finally {
    await Promise.all([whole.stop(), two.stop()]);
  }
}

async function delays(): Promise<void> {
  const sharding = process.argv[6] === 'Tensor' ? 'Tensor' : 'Pipeline';
  console.log(`${sharding}, ${shape}, ${format}: a cable of 1 Gbit/s between two ranks\n`);
  console.log(
    '| delay each way ms | ms a token | predicted ms | error | bytes a token | messages a token | tok/s, 4 sequences |',
  );
  console.log('|---|---|---|---|---|---|---|');
  for (const delayMs of DELAYS_MS) {
    const cable = { delayMs, bytesPerSecond: GIGABIT };
    const { layers, tokenMs: predictedMs } = await predict({ modelPath, sharding, cable });
    const side = await Side.start({ modelPath, layers, sharding, cable });
    try {
      const runs: Measured[] = [];
      for (let round = 0; round < rounds; round += 1) runs.push(await measure(side, 1));
      const four = await measure(side, 4);
      const tokenMs = median(runs.map(({ tokensPerSecond }) => 1e3 / tokensPerSecond));
      const error = (100 * (predictedMs - tokenMs)) / tokenMs;
      const bytes = median(runs.map(({ bytesPerToken }) => bytesPerToken));
      const messages = median(runs.map(({ messagesPerToken }) => messagesPerToken));
      console.log(
        `| ${delayMs} | ${tokenMs.toFixed(1)} | ${predictedMs.toFixed(1)} | ${error.toFixed(0)} % | ${bytes.toFixed(0)} | ${messages.toFixed(1)} | ${four.tokensPerSecond.toFixed(1)} |`,
      );
    } finally {
      await side.stop();
    }
  }
}
