/**
 * The thread that computes: it owns engine, tokenizer, scheduler and sampler. It never returns to an event loop; it
 * looks for messages between steps, and sleeps on the bell of `SharedStatus` when there is nothing to do.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { OpenModel } from '../engine/llama/open.js';
import { ShoalError, toFault } from '../shared/errors.js';
import { TIMES } from '../shared/limits.js';
import type { RunnerSettings } from '../shared/runnerProtocol.js';
import { ModelServer } from './generation/modelServer.js';
import { loadModel, warmUp } from './loadModel.js';
import { LocalComputer } from './scheduler/localComputer.js';
import { SharedStatus } from './sharedStatus.js';
import { type ComputeThreadData, type FromCompute, monotonicMs, type ToCompute } from './threadProtocol.js';

const BYTES_PER_KIBIBYTE = 1024;
/** Nobody rings here: waiting on it is sleeping. */
const STANDING = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
/** The counter moves twice for each time that it is reported. */
const IDLE_BEAT_MS = TIMES.heartbeatMs / 2;

run(workerData as ComputeThreadData);

function run({ settings, port, status: buffer }: ComputeThreadData): void {
  const status = new SharedStatus(buffer);
  const post = (message: FromCompute) => port.postMessage(message);
  try {
    const model = load(settings, status, post);
    try {
      serve(model, settings, status, port, post);
    } finally {
      model.engine.close();
    }
  } catch (error) {
    if (!status.isShutdownRequested) post({ kind: 'fatal', fault: toFault(error) });
  }
  port.close();
}

function load(
  settings: RunnerSettings,
  status: SharedStatus,
  post: (message: FromCompute) => void,
): OpenModel {
  status.beat();
  let reported = -1;
  try {
    const model = loadModel(settings, (fraction) => {
      status.beat();
      const percent = Math.floor(fraction * 100);
      if (percent > reported) post({ kind: 'loading', progress: fraction });
      reported = Math.max(reported, percent);
      return !status.isShutdownRequested;
    });
    const flagBuffer = model.engine.abortFlag.buffer;
    const abortFlag = flagBuffer instanceof SharedArrayBuffer ? flagBuffer : null;
    post({ kind: 'warming_up', abortFlag });
    warmUp(model.engine);
    return model;
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw new ShoalError('model_load_failed', `Loading failed: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function serve(
  model: OpenModel,
  settings: RunnerSettings,
  status: SharedStatus,
  port: MessagePort,
  post: (message: FromCompute) => void,
): void {
  const { engine } = model;
  const server = new ModelServer(
    {
      model,
      computer: new LocalComputer(engine),
      clock: monotonicMs,
      peakMemoryBytes: () => process.resourceUsage().maxRSS * BYTES_PER_KIBIBYTE,
      onStep: (soleRequest, rows) => status.announceStep(soleRequest, rows),
    },
    settings,
  );
  status.load = server.load;
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
      if (message.kind === 'generate')
        server.generate(message.request, message.generation, message.receivedAtMs);
      else if (message.kind === 'cancel') server.cancel(message.request);
      else if (message.kind === 'slow_down') delayMs = message.ms;
      else for (;;);
    }
    if (!server.isIdle) server.step();
    if (delayMs > 0) Atomics.wait(STANDING, 0, 0, delayMs);
    const events = server.takeEvents();
    if (events.length > 0) post({ kind: 'events', events });
    status.load = server.load;
    if (server.isIdle) status.sleep(rings, IDLE_BEAT_MS);
  }
}

function* takeMessages(port: MessagePort): Generator<ToCompute> {
  for (;;) {
    const received = receiveMessageOnPort(port) as { readonly message: ToCompute } | undefined;
    if (received === undefined) return;
    yield received.message;
  }
}
