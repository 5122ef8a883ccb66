import assert from 'node:assert/strict';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import type { GenerationStats } from '../shared/generation.js';
import type { ClusterFigures } from './clusterMetrics.js';
import { createLog } from './log.js';
import { Metrics } from './metrics.js';

class Lines extends Writable {
  text = '';
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.text += chunk.toString();
    done();
  }
}

const idle = { runningSequences: 0, queuedRequests: 0, usedCells: 0, totalCells: 0, heartbeatAgeMs: 0 };
const alone: ClusterFigures = {
  term: 3,
  isMaster: true,
  isUpToDate: true,
  index: 12,
  nodes: { alive: 1, suspect: 0, dead: 2 },
  links: 0,
  instances: 1,
  runningTasks: 4,
  waitingRequests: 5,
  generationsAway: 1,
  generationsHere: 0,
};
const stats: GenerationStats = {
  promptTokens: 10,
  cachedPromptTokens: 4,
  generatedTokens: 7,
  queueMs: 3,
  prefillMs: 20,
  timeToFirstTokenMs: 23,
  decodeMs: 70,
  peakMemoryBytes: 1,
};

test('R72: JSON log lines carry level name, ISO time and the facts of child loggers', () => {
  const stream = new Lines();
  createLog({ json: true, stream }).child({ node_id: 'n1' }).info({ status: 200 }, 'request ended');
  const line = JSON.parse(stream.text);
  assert.equal(line.level, 'info');
  assert.equal(line.msg, 'request ended');
  assert.equal(line.node_id, 'n1');
  assert.equal(line.status, 200);
  assert.ok(Number.isFinite(Date.parse(line.time)));
});

test('R72: neither prompts nor keys reach the log, even when somebody logs their holder', () => {
  for (const json of [true, false]) {
    const stream = new Lines();
    const log = createLog({ json, stream });
    log.info(
      { request: { messages: ['secret'], prompt: 'secret', headers: { authorization: 'secret' } } },
      'x',
    );
    log.info({ authorization: 'Bearer secret', apiKeys: ['secret'], body: { a: 'secret' } }, 'x');
    assert.ok(!stream.text.includes('secret'), stream.text);
  }
});

test('lines for people are one line with time, level, message and facts, and show stacks of errors', () => {
  const stream = new Lines();
  const log = createLog({ stream, colours: false });
  log.warn({ model: 'tiny', why: 'two words' }, 'runner failed');
  assert.match(stream.text, /^\d\d:\d\d:\d\d warn {2}runner failed model=tiny why="two words"\n$/);
  log.error({ err: new Error('boom') }, 'bug');
  assert.match(stream.text, /bug\n {2}Error: boom\n {6}at /);
});

test('the level holds lines back', () => {
  const stream = new Lines();
  const log = createLog({ level: 'warn', stream });
  log.info('quiet');
  assert.equal(stream.text, '');
});

test('R72: metrics count requests, tokens and runner failures, and measure load when they are read', async () => {
  let running = 1;
  const metrics = new Metrics({
    load: () => ({ ...idle, runningSequences: running, totalCells: 64 }),
    cluster: () => ({ ...alone, links: 2 }),
  });
  try {
    metrics.start();
    metrics.requestEnded({ route: '/v1/chat/completions', status: 200, durationMs: 12 });
    metrics.requestEnded({ route: '/v1/chat/completions', status: 429, durationMs: 1 });
    metrics.generationFinished(stats);
    metrics.runnerFailed('runner_failed', 'SIGKILL');
    metrics.runnerRestarted();
    running = 5;
    const text = await metrics.text();
    assert.match(text, /shoal_http_requests_total\{route="\/v1\/chat\/completions",status="429"\} 1/);
    assert.match(text, /shoal_http_request_duration_seconds_count\{route="\/v1\/chat\/completions"\} 2/);
    assert.match(text, /shoal_prompt_tokens_total\{cached="yes"\} 4/);
    assert.match(text, /shoal_prompt_tokens_total\{cached="no"\} 6/);
    assert.match(text, /shoal_generated_tokens_total 7/);
    assert.match(text, /shoal_time_to_first_token_seconds_count 1/);
    assert.match(text, /shoal_runner_failures_total\{code="runner_failed",end="SIGKILL"\} 1/);
    assert.match(text, /shoal_runner_restarts_total 1/);
    assert.match(text, /shoal_running_sequences 5/);
    assert.match(text, /shoal_cache_cells 64/);
    for (const [name, value] of Object.entries({
      cluster_term: 3,
      cluster_is_master: 1,
      cluster_is_up_to_date: 1,
      control_index: 12,
      cluster_nodes_alive: 1,
      cluster_nodes_dead: 2,
      links: 2,
      instances: 1,
      running_tasks: 4,
      waiting_requests: 5,
      generations_away: 1,
      generations_here: 0,
    })) {
      assert.match(text, new RegExp(`^shoal_${name} ${value}$`, 'm'));
    }
    assert.match(text, /shoal_resident_memory_bytes \d+/);
    assert.match(text, /shoal_event_loop_delay_p99_seconds \d/);
  } finally {
    metrics.close();
  }
});

test('two nodes in one process have metrics of their own', async () => {
  const first = new Metrics({ load: () => idle, cluster: () => alone });
  const second = new Metrics({ load: () => idle, cluster: () => alone });
  first.runnerRestarted();
  assert.match(await second.text(), /shoal_runner_restarts_total 0/);
  first.close();
  second.close();
});
