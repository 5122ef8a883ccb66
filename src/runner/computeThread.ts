/**
 * The thread that computes: it owns engine, tokenizer, scheduler and sampler. It never returns to an event loop; it
 * looks for messages between steps, and sleeps on the bell of `SharedStatus` when there is nothing to do.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Engine } from '../engine/contract.js';
import { ShoalError, toFault } from '../shared/errors.js';
import { TIMES } from '../shared/limits.js';
import type { RunnerSettings } from '../shared/runnerProtocol.js';
import { ModelServer, type RequestEvent, type ServableModel } from './generation/modelServer.js';
import { loadModel } from './loadModel.js';
import { Rank } from './ranks/rank.js';
import type { Stage } from './ranks/stage.js';
import type { BatchComputer } from './scheduler/batchComputer.js';
import { LocalComputer } from './scheduler/localComputer.js';
import { SharedStatus } from './sharedStatus.js';
import { type ComputeThreadData, type FromCompute, monotonicMs, type ToCompute } from './threadProtocol.js';
import { warmUp } from './warmUp.js';

const BYTES_PER_KIBIBYTE = 1024;
/** Nobody rings here: waiting on it is sleeping. */
const STANDING = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
/** The counter moves twice for each time that it is reported. */
const IDLE_BEAT_MS = TIMES.heartbeatMs / 2;

/** What is there once the model is loaded: it schedules, or follows the first rank of its model. */
type Loaded = { readonly engine: Engine; readonly warmUp: () => void } & (
  | { readonly model: ServableModel; readonly computer: BatchComputer }
  | { readonly stage: Stage }
);

/** One turn of the loop. */
interface Work {
  take(message: Extract<ToCompute, { kind: 'generate' | 'cancel' }>): void;
  /** Returns false when there was nothing to do. */
  step(): boolean;
  takeEvents(): RequestEvent[];
  readonly load: SharedStatus['load'];
}

run(workerData as ComputeThreadData);

function run({ settings, port, status: buffer }: ComputeThreadData): void {
  const status = new SharedStatus(buffer);
  const post = (message: FromCompute) => port.postMessage(message);
  try {
    const loaded = load(settings, status, post);
    try {
      serve(loaded, settings, status, port, post);
    } finally {
      loaded.engine.close();
    }
  } catch (error) {
    if (!status.isShutdownRequested) post({ kind: 'fatal', fault: toFault(error) });
  }
  port.close();
}

function load(settings: RunnerSettings, status: SharedStatus, post: (message: FromCompute) => void): Loaded {
  status.beat();
  let reported = -1;
  const onProgress = (fraction: number) => {
    status.beat();
    const percent = Math.floor(fraction * 100);
    // A rank that waits for the others makes progress too.
    if (percent > reported || percent === 100) post({ kind: 'loading', progress: fraction });
    reported = Math.max(reported, percent);
    return !status.isShutdownRequested;
  };
  try {
    const loaded = settings.part === null ? loadWhole() : loadRank(settings.part);
    const flagBuffer = loaded.engine.abortFlag.buffer;
    // Of the ranks that follow, nobody may leave out a step.
    const mayAbort = 'computer' in loaded && flagBuffer instanceof SharedArrayBuffer;
    post({ kind: 'warming_up', abortFlag: mayAbort ? flagBuffer : null });
    loaded.warmUp();
    return loaded;
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw new ShoalError('model_load_failed', `Loading failed: ${(error as Error).message}`, {
      cause: error,
    });
  }

  function loadWhole(): Loaded {
    const model = loadModel(settings, onProgress);
    const computer = new LocalComputer(model.engine);
    return { engine: model.engine, model, computer, warmUp: () => warmUp(computer, requireNow) };
  }

  function loadRank(part: NonNullable<RunnerSettings['part']>): Loaded {
    const rank = new Rank(settings, part, {
      status,
      onBridge: (memory) => post({ kind: 'bridge', memory }),
      onProgress,
    });
    const common = { engine: rank.engine, warmUp: () => rank.warmUp() };
    return rank.leader === null ? { ...common, stage: rank.stage! } : { ...common, ...rank.leader };
  }
}

function requireNow(condition: () => boolean): void {
  if (!condition()) throw new Error('a whole model has computed a step when it was submitted');
}

function serve(
  loaded: Loaded,
  settings: RunnerSettings,
  status: SharedStatus,
  port: MessagePort,
  post: (message: FromCompute) => void,
): void {
  const { engine } = loaded;
  const work = 'stage' in loaded ? following(loaded.stage, engine) : serving(loaded, settings, status);
  status.load = work.load;
  post({
    kind: 'ready',
    model: {
      architecture: engine.shape.architecture,
      backends: engine.backends,
      contextTokens: settings.contextTokens,
      cacheCells: engine.capacity.cells,
      memoryBytes: engine.memoryBytes,
    },
  });
  let delayMs = 0;
  while (!status.isShutdownRequested) {
    status.beat();
    const rings = status.rings;
    for (const message of takeMessages(port)) {
      if (message.kind === 'generate' || message.kind === 'cancel') work.take(message);
      else if (message.kind === 'slow_down') delayMs = message.ms;
      else for (;;);
    }
    const hasWorked = work.step();
    if (hasWorked && delayMs > 0) Atomics.wait(STANDING, 0, 0, delayMs);
    const events = work.takeEvents();
    if (events.length > 0) post({ kind: 'events', events });
    status.load = work.load;
    if (!hasWorked) status.sleep(rings, IDLE_BEAT_MS);
  }
}

function serving(
  { model, computer }: Extract<Loaded, { readonly model: ServableModel }>,
  settings: RunnerSettings,
  status: SharedStatus,
): Work {
  const server = new ModelServer(
    {
      model,
      computer,
      clock: monotonicMs,
      peakMemoryBytes: () => process.resourceUsage().maxRSS * BYTES_PER_KIBIBYTE,
      onStep: (soleRequest, rows) => status.announceStep(soleRequest, rows),
    },
    settings,
  );
  return {
    take: (message) => {
      if (message.kind === 'cancel') server.cancel(message.request);
      else server.generate(message.request, message.generation, message.receivedAtMs);
    },
    step: () => !server.isIdle && server.step(),
    takeEvents: () => server.takeEvents(),
    get load() {
      return server.load;
    },
  };
}

function following(stage: Stage, { capacity }: Engine): Work {
  let events: RequestEvent[] = [];
  return {
    take: (message) => {
      if (message.kind === 'cancel') return;
      const fault = { code: 'invalid_request', message: 'Only the first rank takes requests.' } as const;
      events.push({ request: message.request, event: { kind: 'failed', fault } });
    },
    step: () => stage.step(),
    takeEvents: () => {
      const taken = events;
      events = [];
      return taken;
    },
    load: {
      runningSequences: 0,
      queuedRequests: 0,
      usedCells: 0,
      totalCells: capacity.cells,
      prefixCacheCells: 0,
    },
  };
}

function* takeMessages(port: MessagePort): Generator<ToCompute> {
  for (;;) {
    const received = receiveMessageOnPort(port) as { readonly message: ToCompute } | undefined;
    if (received === undefined) return;
    yield received.message;
  }
}
