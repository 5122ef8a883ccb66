/**
 * The thread that computes: it owns engine, tokenizer, scheduler and sampler. It never returns to an event loop; it
 * looks for messages between steps, and sleeps on the bell of `SharedStatus` when there is nothing to do.
 */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { Engine } from '../engine/contract.js';
import { openVocabulary } from '../engine/llama/open.js';
import { ShoalError, toFault } from '../shared/errors.js';
import { TIMES } from '../shared/limits.js';
import type { RunnerPart, RunnerSettings } from '../shared/runnerProtocol.js';
import type { HeldPhase } from './failpoints.js';
import { ModelServer, type ServableModel } from './generation/modelServer.js';
import { loadModel, loadShard, loadSlice, type OnProgress, sumFloats, warmUp } from './loadModel.js';
import { LaterStage } from './ranks/laterStage.js';
import { Patience } from './ranks/patience.js';
import { PipelineRank } from './ranks/pipelineRank.js';
import { SliceFollower } from './ranks/sliceFollower.js';
import { SliceRank } from './ranks/sliceRank.js';
import { SharedStatus } from './sharedStatus.js';
import { WholeModel } from './step/wholeModel.js';
import { type ComputeThreadData, type FromCompute, monotonicMs, type ToCompute } from './threadProtocol.js';

const BYTES_PER_KIBIBYTE = 1024;
/** Nobody rings here: waiting on it is sleeping. */
const STANDING = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
/** The counter moves twice for each time that it is reported. */
const IDLE_BEAT_MS = TIMES.heartbeatMs / 2;

run(workerData as ComputeThreadData);

function run({ settings, port, status: buffer, held }: ComputeThreadData): void {
  const status = new SharedStatus(buffer);
  const post = (message: FromCompute) => port.postMessage(message);
  const context = { settings, status, port, post, held };
  try {
    const { part } = settings;
    if (part === null) computeWhole(context);
    else computePart(context, part);
  } catch (error) {
    if (!status.isShutdownRequested) post({ kind: 'fatal', fault: toFault(error) });
  }
  port.close();
}

interface Context {
  readonly settings: RunnerSettings;
  readonly status: SharedStatus;
  readonly port: MessagePort;
  readonly post: (message: FromCompute) => void;
  readonly held: HeldPhase | null;
}

function computeWhole(context: Context): void {
  const model = load(context, (onProgress) => loadModel(context.settings, onProgress));
  try {
    sayWarmingUp(context, model.engine);
    const machine = new WholeModel(model.engine);
    warmUp(machine);
    serve({ ...model, machine }, model.engine, context);
  } finally {
    model.engine.close();
  }
}

/** Rank 0 has the text and plans the steps; the others follow. */
function computePart(context: Context, part: RunnerPart): void {
  const { settings, status, port, post } = context;
  let delayMs = 0;
  const isLeader = part.rank === 0;
  const patience = new Patience(status, () => {
    // The others have no requests, so that only failpoints come; the leader takes its messages itself.
    if (!isLeader) for (const message of takeMessages(port)) delayMs = obeyFailpoint(message) ?? delayMs;
    if (!isLeader && delayMs > 0) Atomics.wait(STANDING, 0, 0, delayMs);
  });
  const { rank, engine, stage } = openPart(context, part, patience);
  try {
    // For its node this rank still loads, until the slowest one has.
    rank.meet(() => post({ kind: 'loading', progress: 1 }));
    sayWarmingUp(context, engine);
    if (stage instanceof LaterStage || stage instanceof SliceFollower) {
      while (!stage.advance());
      rank.meet();
      sayReady(context, engine);
      for (;;) stage.advance();
    }
    const vocabulary = openVocabulary(settings.modelPath);
    try {
      warmUp(stage, (isThere) => patience.until(isThere));
      rank.meet();
      serve({ ...vocabulary, machine: stage }, engine, context);
    } finally {
      vocabulary.close();
    }
  } finally {
    engine.close();
  }
}

/** Layers of the model, or a slice of each of them, with its ways to the other ranks. */
function openPart(context: Context, part: RunnerPart, patience: Patience) {
  const { settings, status, post } = context;
  const onStep = (rows: number) => status.announceStep(null, rows);
  if (part.sharding === 'Tensor') {
    const rank = new SliceRank(sumFloats(settings), patience);
    post({ kind: 'bridge', memory: rank.memory });
    const engine = load(context, (onProgress) => loadSlice(settings, part, rank.sums, onProgress));
    return { rank, engine, stage: rank.stageOf(engine, part, onStep) };
  }
  const engine = load(context, (onProgress) => loadShard(settings, part, onProgress));
  const rank = new PipelineRank({ engine, patience, onStep }, settings, part);
  post({ kind: 'bridge', memory: rank.memory });
  return { rank, engine, stage: rank.stage };
}

function load<Model>(context: Context, open: (onProgress: OnProgress) => Model): Model {
  const { status, post } = context;
  status.beat();
  stayIfHeld(context, 'loading');
  let reported = -1;
  try {
    return open((fraction) => {
      status.beat();
      const percent = Math.floor(fraction * 100);
      if (percent > reported) post({ kind: 'loading', progress: fraction });
      reported = Math.max(reported, percent);
      return !status.isShutdownRequested;
    });
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw new ShoalError('model_load_failed', `Loading failed: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function sayWarmingUp(context: Context, { abortFlag: { buffer } }: Engine): void {
  context.post({ kind: 'warming_up', abortFlag: buffer instanceof SharedArrayBuffer ? buffer : null });
  stayIfHeld(context, 'warming_up');
}

/** A failpoint: it shows that it lives, and comes no further. */
function stayIfHeld({ status, held }: Context, phase: HeldPhase): void {
  if (held === phase) new Patience(status, () => undefined).until(() => false);
}

function sayReady({ settings, post }: Context, { shape, backends, capacity, memoryBytes }: Engine): void {
  const { contextTokens } = settings;
  const { architecture } = shape;
  post({
    kind: 'ready',
    model: { architecture, backends, contextTokens, cacheCells: capacity.cells, memoryBytes },
  });
}

function serve(model: ServableModel, engine: Engine, context: Context): void {
  const { settings, status, port, post } = context;
  const server = new ModelServer(
    {
      model,
      clock: monotonicMs,
      peakMemoryBytes: () => process.resourceUsage().maxRSS * BYTES_PER_KIBIBYTE,
      onStep: (soleRequest, rows) => status.announceStep(soleRequest, rows),
    },
    settings,
  );
  status.load = server.load;
  sayReady(context, engine);
  let delayMs = 0;
  while (!status.isShutdownRequested) {
    status.beat();
    const rings = status.rings;
    for (const message of takeMessages(port)) {
      if (message.kind === 'generate')
        server.generate(message.request, message.generation, message.receivedAtMs);
      else if (message.kind === 'cancel') server.cancel(message.request);
      else delayMs = obeyFailpoint(message) ?? delayMs;
    }
    const hasMoved = !server.isIdle && server.step();
    if (hasMoved && delayMs > 0) Atomics.wait(STANDING, 0, 0, delayMs);
    const events = server.takeEvents();
    if (events.length > 0) post({ kind: 'events', events });
    status.load = server.load;
    if (!hasMoved) status.sleep(rings, IDLE_BEAT_MS);
  }
}

/** @returns how long each step shall take longer, if the failpoint says so */
function obeyFailpoint(message: ToCompute): number | null {
  if (message.kind === 'stand_still') Atomics.wait(STANDING, 0, 0);
  return message.kind === 'slow_down' ? message.ms : null;
}

function* takeMessages(port: MessagePort): Generator<ToCompute> {
  for (;;) {
    const received = receiveMessageOnPort(port) as { readonly message: ToCompute } | undefined;
    if (received === undefined) return;
    yield received.message;
  }
}
