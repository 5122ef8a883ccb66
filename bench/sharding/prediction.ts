/** What placement's cost model says of two like nodes, from the speed of this machine with one thread. */
import { fileURLToPath } from 'node:url';
import { COST_PARAMETERS } from '../../src/control/placement/costParameters.js';
import { place } from '../../src/control/placement/place.js';
import type { LinkFacts, NodeResources } from '../../src/control/placement/types.js';
import { cardOf } from '../../src/models/card.js';
import { readGguf } from '../../src/models/gguf/reader.js';
import type { ModelId, NodeId } from '../../src/shared/ids.js';
import type { MeasuredSpeed } from '../../src/shared/nodeSpeed.js';
import type { RunnerPart } from '../../src/shared/runnerProtocol.js';
import { placementShape } from '../../src/worker/placementShape.js';
import { runBenchmark } from '../../src/worker/speed/runBenchmark.js';
import type { Cable } from './delayingProxy.js';

const ENTRY = fileURLToPath(new URL('../../src/runner/measureSpeed.js', import.meta.url));
const NODES = ['a', 'b'] as NodeId[];
const US_PER_MS = 1e3;
const MEMORY_BYTES = 16e9;
/** What attention reads for each of the short answers here: the least that the engine takes at a time. */
const ATTENDED_CELLS = 256;
/** Round trip without any cable between, as the links of two nodes on one machine measure it. */
const LOOPBACK_US = 100;

export interface PredictionQuestion {
  readonly modelPath: string;
  readonly sharding: 'Pipeline' | 'Tensor';
  readonly cable: Cable;
}

export interface Predicted {
  /** Between two tokens of a single stream, in milliseconds. */
  readonly tokenMs: number;
  /** By rank, layers [first, end). */
  readonly layers: RunnerPart['layers'];
}

let measured: Promise<MeasuredSpeed> | null = null;

/** Where placement would cut, and how fast it says that this is. */
export async function predict({ modelPath, sharding, cable }: PredictionQuestion): Promise<Predicted> {
  measured ??= measureOnce();
  const { memoryBytesPerSecond, operationsPerSecond } = await measured;
  const nodes = NODES.map(
    (nodeId): NodeResources => ({
      nodeId,
      name: nodeId,
      status: 'alive',
      memoryOfferedBytes: MEMORY_BYTES,
      memoryTakenBytes: 0,
      memoryBytesPerSecond,
      operationsPerSecond,
      hasModelFiles: true,
      backends: ['cpu'],
    }),
  );
  const links = NODES.flatMap((from) =>
    NODES.filter((to) => to !== from).map(
      (to): LinkFacts => ({
        from,
        to,
        isConnected: true,
        roundTripUs: LOOPBACK_US + 2 * cable.delayMs * US_PER_MS,
        bytesPerSecond: cable.bytesPerSecond,
        rdma: false,
      }),
    ),
  );
  const modelId = 'model' as ModelId;
  const model = placementShape(modelId, cardOf(readGguf(modelPath), modelId));
  const wish = {
    sharding,
    transport: 'Ring',
    minNodes: NODES.length,
    nodeIds: NODES,
    requireRdma: false,
    preferSpeed: false,
    contextTokens: 512,
    sequences: 8,
  } as const;
  const parameters = { ...COST_PARAMETERS, attendedCells: ATTENDED_CELLS };
  const placed = place({ model, nodes, links, wish }, parameters);
  if (placed.kind === 'refused') throw new Error(placed.message);
  const layers = placed.shards.map(({ startLayer, endLayer }) => ({ first: startLayer, end: endLayer }));
  return { tokenMs: placed.prediction.tokenMs, layers };
}

async function measureOnce(): Promise<MeasuredSpeed> {
  const options = { entry: ENTRY, threads: 1, gpuLayers: 0, availableBytes: MEMORY_BYTES };
  const result = await runBenchmark(options, new AbortController().signal);
  if ('problem' in result) throw new Error(result.problem);
  return result.speed;
}
