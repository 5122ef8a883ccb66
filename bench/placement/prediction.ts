/**
 * What placement predicts of a model on this machine alone, beside what is measured in the same minute, and the two
 * constants that would have made the prediction right:
 * `node dist/bench/placement/prediction.js [SHAPE [THREADS,THREADS…]]`.
 */
import { availableParallelism } from 'node:os';
import { basename } from 'node:path';
import { COST_PARAMETERS } from '../../src/control/placement/costParameters.js';
import { place } from '../../src/control/placement/place.js';
import type { ModelShape } from '../../src/control/placement/types.js';
import type { Engine } from '../../src/engine/contract.js';
import { openLlamaModel } from '../../src/engine/llama/open.js';
import { measureSpeed } from '../../src/engine/speed/measureSpeed.js';
import { cardOf } from '../../src/models/card.js';
import { readGguf } from '../../src/models/gguf/reader.js';
import type { ModelId, NodeId } from '../../src/shared/ids.js';
import { fasterOf, type NodeSpeed } from '../../src/shared/nodeSpeed.js';
import { placementShape } from '../../src/worker/placementShape.js';
import { FORMATS, type Format, randomModel, type ShapeName } from '../engine/randomModel.js';
import { WISH } from './clusters.js';

const [shapeName = 'qwen3-0.6b', threadCounts] = process.argv.slice(2);
const ROUNDS = 3;
const DECODES = 16;
const { promptTokens, chunkTokens, bandwidthShare } = COST_PARAMETERS;

interface Times {
  readonly tokenMs: number;
  readonly firstTokenMs: number;
}

console.log(
  '| format | threads | token ms: predicted | measured | error | first token ms: predicted | measured | error | bandwidthShare | operationsShare |',
);
console.log('|---|---|---|---|---|---|---|---|---|---|');
for (const threads of threadCounts?.split(',').map(Number) ?? [1, availableParallelism()]) {
  for (const format of FORMATS) printRow(format, threads);
}

function printRow(format: Format, threads: number): void {
  const path = randomModel(shapeName as ShapeName, format);
  const model = placementShape(basename(path) as ModelId, cardOf(readGguf(path), format));
  // The two take turns, so that what else the machine does meets both; of each the fastest counts.
  let speed: NodeSpeed = { memoryBytesPerSecond: 0, operationsPerSecond: 0 };
  let measured = { tokenMs: Number.POSITIVE_INFINITY, firstTokenMs: Number.POSITIVE_INFINITY };
  for (let round = 0; round < ROUNDS; round += 1) {
    speed = fasterOf(speed, measureSpeed({ threads, gpuLayers: 0, layers: 4, budgetMs: 800 }));
    const times = timesOf(path, threads);
    measured = {
      tokenMs: Math.min(measured.tokenMs, times.tokenMs),
      firstTokenMs: Math.min(measured.firstTokenMs, times.firstTokenMs),
    };
  }
  const predicted = predict(model, speed);
  const cells = [
    format,
    threads,
    ...compared(predicted.tokenMs, measured.tokenMs, 1),
    ...compared(predicted.firstTokenMs, measured.firstTokenMs, 0),
    rightBandwidthShare(model, speed, measured.tokenMs)?.toFixed(2) ?? '–',
    (operationsShareOf(model) * (predicted.firstTokenMs / measured.firstTokenMs)).toFixed(2),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

function compared(predictedMs: number, measuredMs: number, digits: number): string[] {
  const error = (100 * (predictedMs - measuredMs)) / measuredMs;
  return [predictedMs.toFixed(digits), measuredMs.toFixed(digits), `${error.toFixed(0)} %`];
}

function operationsShareOf({ work }: ModelShape): number {
  return COST_PARAMETERS.operationsShares[work.weightType ?? ''] ?? COST_PARAMETERS.operationsShare;
}

/** The time of a token is `weights / share + the rest`: both from two shares. Null when the rest alone is too much. */
function rightBandwidthShare(model: ModelShape, speed: NodeSpeed, measuredMs: number): number | null {
  const [at, atTwice] = [1, 2].map(
    (times) => predict(model, speed, { ...COST_PARAMETERS, bandwidthShare: times * bandwidthShare }).tokenMs,
  ) as [number, number];
  const weightsMs = 2 * (at - atTwice);
  const restMs = at - weightsMs;
  return restMs < measuredMs ? (bandwidthShare * weightsMs) / (measuredMs - restMs) : null;
}

function predict(model: ModelShape, speed: NodeSpeed, parameters = COST_PARAMETERS): Times {
  const node = {
    nodeId: 'here' as NodeId,
    name: 'here',
    status: 'alive' as const,
    memoryOfferedBytes: 64e9,
    memoryTakenBytes: 0,
    ...speed,
    hasModelFiles: true,
    backends: ['cpu'],
  };
  const wish = { ...WISH, contextTokens: 1_024, sequences: 1 };
  const result = place({ model, nodes: [node], links: [], wish }, parameters);
  if (result.kind === 'refused') throw new Error(result.message);
  return result.prediction;
}

/** A prompt in chunks, and the tokens behind it. */
function timesOf(modelPath: string, threads: number): Times {
  const capacity = { batchRows: chunkTokens, outputRows: 1, sequences: 1, cells: 1_024 };
  const { engine } = openLlamaModel({ modelPath, ...capacity, threads });
  try {
    step(engine, 0, chunkTokens);
    engine.truncate(0, 0);
    let firstTokenMs = 0;
    for (let at = 0; at < promptTokens; at += chunkTokens) firstTokenMs += step(engine, at, chunkTokens);
    let tokenMs = Number.POSITIVE_INFINITY;
    for (let count = 0; count < DECODES; count += 1)
      tokenMs = Math.min(tokenMs, step(engine, promptTokens + count, 1));
    return { tokenMs, firstTokenMs };
  } finally {
    engine.close();
  }
}

function step(engine: Engine, from: number, rows: number): number {
  const input = {
    tokens: Int32Array.from({ length: rows }, (_, row) => ((from + row) * 37) % 1_000),
    hidden: null,
    positions: Int32Array.from({ length: rows }, (_, row) => from + row),
    sequences: new Int32Array(rows),
    outputs: Uint8Array.from({ length: rows }, (_, row) => (row === rows - 1 ? 1 : 0)),
  };
  const startedMs = performance.now();
  engine.step(input);
  return performance.now() - startedMs;
}
