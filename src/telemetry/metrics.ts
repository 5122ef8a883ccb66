/** The metrics of a node in the Prometheus text format. Every label has a bounded set of values. */
import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { ErrorCode } from '../shared/errors.js';
import type { GenerationStats } from '../shared/generation.js';
import { addClusterGauges, type ClusterFigures } from './clusterMetrics.js';

/** How full a node's runners are, all together. */
export interface NodeLoad {
  readonly runningSequences: number;
  readonly queuedRequests: number;
  readonly usedCells: number;
  readonly totalCells: number;
  /** Since the last heartbeat, of the runner that has been silent longest; 0 without any runner. */
  readonly heartbeatAgeMs: number;
}

export interface MetricsComponents {
  /** Asked whenever the metrics are read. */
  readonly load: () => NodeLoad;
  readonly cluster: () => ClusterFigures;
}

const DURATION_BUCKETS_S = [0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 15, 60, 300, 600];
const FIRST_TOKEN_BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60];
const LOOP_RESOLUTION_MS = 10;
const NANOSECONDS_PER_SECOND = 1e9;
const MILLISECONDS_PER_SECOND = 1000;

export class Metrics {
  readonly #registry = new Registry();
  readonly #loopDelay: IntervalHistogram;
  readonly #requests: Counter<'route' | 'status'>;
  readonly #durations: Histogram<'route'>;
  readonly #firstToken: Histogram;
  readonly #queueTime: Histogram;
  readonly #promptTokens: Counter<'cached'>;
  readonly #generatedTokens: Counter;
  readonly #requestMoves: Counter<'code'>;
  readonly #moveTime: Histogram;
  readonly #runnerRestarts: Counter;
  readonly #runnerFailures: Counter<'code' | 'end'>;

  constructor({ load, cluster }: MetricsComponents) {
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'shoal_http_requests_total',
      help: 'HTTP requests that ended, by route pattern and status.',
      labelNames: ['route', 'status'],
      registers,
    });
    this.#durations = new Histogram({
      name: 'shoal_http_request_duration_seconds',
      help: 'From the arrival of a request to the end of its answer.',
      labelNames: ['route'],
      buckets: DURATION_BUCKETS_S,
      registers,
    });
    this.#firstToken = new Histogram({
      name: 'shoal_time_to_first_token_seconds',
      help: 'From receipt by the runner to the first token.',
      buckets: FIRST_TOKEN_BUCKETS_S,
      registers,
    });
    this.#queueTime = new Histogram({
      name: 'shoal_queue_seconds',
      help: 'Waiting for a place in the batch.',
      buckets: FIRST_TOKEN_BUCKETS_S,
      registers,
    });
    this.#promptTokens = new Counter({
      name: 'shoal_prompt_tokens_total',
      help: 'Prompt tokens of finished requests, by whether the prefix cache had them.',
      labelNames: ['cached'],
      registers,
    });
    this.#generatedTokens = new Counter({
      name: 'shoal_generated_tokens_total',
      help: 'Tokens of finished requests, all choices together.',
      registers,
    });
    this.#requestMoves = new Counter({
      name: 'shoal_request_moves_total',
      help: 'Answers that went on at another place, by the error code of the loss of the one before.',
      labelNames: ['code'],
      registers,
    });
    this.#moveTime = new Histogram({
      name: 'shoal_request_move_seconds',
      help: 'From the loss of the place of an answer to its request at the next one.',
      buckets: DURATION_BUCKETS_S,
      registers,
    });
    this.#runnerRestarts = new Counter({
      name: 'shoal_runner_restarts_total',
      help: 'Runners that were started again after a failure.',
      registers,
    });
    this.#runnerFailures = new Counter({
      name: 'shoal_runner_failures_total',
      help: 'Runners that failed, by error code and by how the process ended.',
      labelNames: ['code', 'end'],
      registers,
    });
    this.#gauge('shoal_running_sequences', 'Sequences in the batches.', () => load().runningSequences);
    this.#gauge(
      'shoal_queued_requests',
      'Requests waiting for a place in a batch.',
      () => load().queuedRequests,
    );
    this.#gauge('shoal_cache_cells_used', 'KV cells in use.', () => load().usedCells);
    this.#gauge('shoal_cache_cells', 'KV cells.', () => load().totalCells);
    this.#gauge(
      'shoal_runner_heartbeat_age_seconds',
      'Since the last heartbeat, of the runner that has been silent longest.',
      () => load().heartbeatAgeMs / MILLISECONDS_PER_SECOND,
    );
    addClusterGauges((name, help, measure) => this.#gauge(name, help, measure), cluster);
    this.#loopDelay = monitorEventLoopDelay({ resolution: LOOP_RESOLUTION_MS });
    this.#watchProcess();
  }

  /** One HTTP request ended. @param route its pattern, not its path */
  requestEnded(request: {
    readonly route: string;
    readonly status: number;
    readonly durationMs: number;
  }): void {
    this.#requests.inc({ route: request.route, status: String(request.status) });
    this.#durations.observe({ route: request.route }, request.durationMs / MILLISECONDS_PER_SECOND);
  }

  /** One generation ended with `finished`. */
  generationFinished(stats: GenerationStats): void {
    this.#firstToken.observe(stats.timeToFirstTokenMs / MILLISECONDS_PER_SECOND);
    this.#queueTime.observe(stats.queueMs / MILLISECONDS_PER_SECOND);
    this.#promptTokens.inc({ cached: 'yes' }, stats.cachedPromptTokens);
    this.#promptTokens.inc({ cached: 'no' }, stats.promptTokens - stats.cachedPromptTokens);
    this.#generatedTokens.inc(stats.generatedTokens);
  }

  /** An answer goes on at another place. */
  requestMoved(code: ErrorCode, waitedMs: number): void {
    this.#requestMoves.inc({ code });
    this.#moveTime.observe(waitedMs / MILLISECONDS_PER_SECOND);
  }

  /** @param end a signal such as `SIGKILL`, or `exit CODE` */
  runnerFailed(code: ErrorCode, end: string): void {
    this.#runnerFailures.inc({ code, end });
  }

  runnerRestarted(): void {
    this.#runnerRestarts.inc();
  }

  /** Everything in the Prometheus text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** Watches the event loop from now on: loading the program is no delay of what it serves. */
  start(): void {
    this.#loopDelay.enable();
  }

  /** Stops the watch on the event loop. Harmless when repeated. */
  close(): void {
    this.#loopDelay.disable();
  }

  #watchProcess(): void {
    const seconds = (nanoseconds: number): number =>
      Number.isFinite(nanoseconds) ? nanoseconds / NANOSECONDS_PER_SECOND : 0;
    const delay = this.#loopDelay;
    this.#gauge(
      'shoal_event_loop_delay_p50_seconds',
      'Delay of the event loop, median since the start.',
      () => seconds(delay.percentile(50)),
    );
    this.#gauge(
      'shoal_event_loop_delay_p99_seconds',
      'Delay of the event loop, 99th percentile since the start.',
      () => seconds(delay.percentile(99)),
    );
    this.#gauge(
      'shoal_event_loop_delay_max_seconds',
      'Longest delay of the event loop since the start.',
      () => seconds(delay.max),
    );
    this.#gauge('shoal_resident_memory_bytes', 'Resident memory of the node process.', () =>
      process.memoryUsage.rss(),
    );
    this.#gauge('shoal_heap_used_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed);
    this.#gauge('shoal_uptime_seconds', 'Since the start of the process.', () => process.uptime());
  }

  /** A gauge that is measured when it is read. */
  #gauge(name: string, help: string, measure: () => number): void {
    const gauge: Gauge = new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect: () => gauge.set(measure()),
    });
  }
}
