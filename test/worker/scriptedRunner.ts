/**
 * A real child process that speaks the runner's protocol without an engine, and misbehaves as its "model path" says.
 * It generates one token each few milliseconds, so that a test can act in the middle of a stream.
 */
import { Socket } from 'node:net';
import { encodeFrame, FrameReader } from '../../src/shared/frames.js';
import { LIMITS } from '../../src/shared/limits.js';
import {
  type FromRunner,
  RUNNER_CHANNEL_FD,
  RUNNER_PROTOCOL_VERSION,
  type ToRunner,
} from '../../src/shared/runnerProtocol.js';

const TOKEN_INTERVAL_MS = 5;
const LARGE_BYTES = 100_000_000;
/** Bytes of text in each token of a runner that is long-winded. */
const LONG_TEXT_BYTES = 10_000_000;
const channel = new Socket({ fd: RUNNER_CHANNEL_FD });
const reader = new FrameReader(LIMITS.runnerFrameBytes);
const timers = new Map<number, NodeJS.Timeout>();
let behaviour = '';

const send = (message: FromRunner): boolean => channel.write(encodeFrame(message, LIMITS.runnerFrameBytes));

/** Twice a second in the real runner; here often enough for quick tests. */
const HEARTBEAT_MS = 100;
let counter = 0;

function beat(): void {
  if (behaviour !== 'stand still') counter += 1;
  const load = {
    runningSequences: timers.size,
    queuedRequests: 0,
    usedCells: 0,
    totalCells: 64,
    prefixCacheCells: 0,
    residentBytes: process.memoryUsage.rss(),
  };
  send({
    kind: 'heartbeat',
    pulse: { counter, stepRows: timers.size, slowestRowMs: 1, starvedMs: 0 },
    received,
    load,
  });
}

const behaviours: Record<string, () => unknown> = {
  'exit with 1': () => process.exit(1),
  'exit with 0': () => process.exit(0),
  abort: () => process.abort(),
  garbage: () => channel.write(Buffer.from([3, 0, 0, 0, 0xc1, 0xc1, 0xc1])),
  'a frame of 4 GB': () => channel.write(Buffer.from([0xff, 0xff, 0xff, 0xff, 1, 2, 3])),
  'a message of 100 MB': () => {
    const header = Buffer.alloc(4);
    header.writeUInt32LE(LARGE_BYTES);
    channel.write(header);
    channel.write(Buffer.alloc(LARGE_BYTES, 'x'));
  },
  'an unknown message': () => channel.write(encodeFrame({ kind: 'nonsense' }, LIMITS.runnerFrameBytes)),
  'an illegal move': () => send({ kind: 'phase', phase: 'ready', progress: null }),
  'say nothing': () => undefined,
  'fatal and exit': () => {
    send({ kind: 'fatal', fault: { code: 'model_load_failed', message: 'the file is torn' } });
    channel.end(() => process.exit(1));
  },
  'fatal without code': () =>
    channel.write(encodeFrame({ kind: 'fatal', fault: 7 }, LIMITS.runnerFrameBytes)),
  'fatal without end': () => {
    const message = 'the file is torn'.repeat(LIMITS.controlRecordBytes / 8);
    send({ kind: 'fatal', fault: { code: 'model_load_failed', message } });
    // Two megabytes take a busy node a while to read; what is read in one go only is not the matter here.
    channel.write('', () => setTimeout(() => process.exit(1), 1_000));
  },
  'fatal and hang': () => {
    send({ kind: 'phase', phase: 'loading', progress: 0 });
    channel.write(
      encodeFrame(
        { kind: 'fatal', fault: { code: 'model_load_failed', message: 'the file is torn' } },
        LIMITS.runnerFrameBytes,
      ),
      () => {
        for (;;) counter += 1;
      },
    );
  },
  'flood stderr and exit': () => {
    process.stderr.write(`${'x'.repeat(2_000_000)}\n${'line\n'.repeat(100_000)}last words\n`, () =>
      process.exit(3),
    );
  },
};

interface Stop {
  shutdown(): void;
  terminate(): void;
}

const ignore = () => undefined;
const OBEDIENT: Stop = { shutdown: () => process.exit(0), terminate: () => process.exit(0) };
const STOPS: Record<string, Stop> = {
  'ignore every request to stop': { shutdown: ignore, terminate: ignore },
  'crash when asked to stop': { shutdown: () => process.abort(), terminate: ignore },
  'crash at SIGTERM': { shutdown: ignore, terminate: () => process.abort() },
  'exit with 1 when asked to stop': { shutdown: () => process.exit(1), terminate: ignore },
  'talk nonsense when asked to stop': {
    shutdown: () => channel.write(Buffer.from([3, 0, 0, 0, 0xc1, 0xc1, 0xc1])),
    terminate: ignore,
  },
};

function load(): void {
  setInterval(beat, HEARTBEAT_MS);
  const act = behaviours[behaviour];
  if (act !== undefined) {
    act();
    return;
  }
  send({ kind: 'phase', phase: 'loading', progress: 0 });
  send({ kind: 'phase', phase: 'loading', progress: 1 });
  send({ kind: 'phase', phase: 'warming_up', progress: null });
  send({ kind: 'phase', phase: 'ready', progress: null });
}

function generate(request: number): void {
  send({ kind: 'event', request, event: { kind: 'started', promptTokens: 1, cachedPromptTokens: 0 } });
  if (behaviour === 'hang in an endless loop') for (;;) counter += 1;
  const text = behaviour === 'long-winded' ? 'x'.repeat(LONG_TEXT_BYTES) : 'x';
  const timer = setInterval(() => {
    if (channel.writableLength > LONG_TEXT_BYTES) return;
    send({ kind: 'event', request, event: { kind: 'delta', choice: 0, text, tokens: [1] } });
  }, TOKEN_INTERVAL_MS);
  timers.set(request, timer);
}

let received = 0;

function receive(message: ToRunner): void {
  received += 1;
  if (message.kind === 'load') {
    behaviour = message.settings.modelPath;
    load();
  } else if (message.kind === 'generate') {
    generate(message.request);
  } else if (message.kind === 'cancel') {
    clearInterval(timers.get(message.request));
  } else {
    (STOPS[behaviour] ?? OBEDIENT).shutdown();
  }
}

channel.on('data', (chunk: Buffer) => {
  for (const message of reader.push(chunk)) receive(message as ToRunner);
});
channel.on('close', () => process.exit(0));
process.on('SIGTERM', () => (STOPS[behaviour] ?? OBEDIENT).terminate());
send({ kind: 'hello', version: RUNNER_PROTOCOL_VERSION, pid: process.pid });
