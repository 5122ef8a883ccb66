/** The node's side of a real runner process, for tests. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { fileURLToPath } from 'node:url';
import type { Fault } from '../../src/shared/errors.js';
import { encodeFrame, FrameReader } from '../../src/shared/frames.js';
import type {
  FinishReason,
  GeneratedTokenLogprob,
  GenerationEvent,
  GenerationRequest,
  GenerationStats,
} from '../../src/shared/generation.js';
import type { CommandId, ModelId, RunnerId } from '../../src/shared/ids.js';
import { LIMITS } from '../../src/shared/limits.js';
import {
  type FromRunner,
  RUNNER_CHANNEL_FD,
  type RunnerSettings,
  type ToRunner,
} from '../../src/shared/runnerProtocol.js';

const ENTRY = fileURLToPath(new URL('../../src/runner/main.js', import.meta.url));

export interface Collected {
  readonly texts: string[];
  readonly tokens: number[][];
  readonly logprobs: GeneratedTokenLogprob[][];
  readonly reasons: (FinishReason | null)[];
  cachedPromptTokens: number | null;
  promptTokens: number | null;
  stats: GenerationStats | null;
  fault: Fault | null;
}

interface Pending {
  readonly collected: Collected;
  readonly resolve: (collected: Collected) => void;
  readonly onEvent: (event: GenerationEvent) => void;
}

export class RunnerClient {
  readonly child: ChildProcess;
  readonly channel: Duplex;
  readonly messages: FromRunner[] = [];
  readonly exited: Promise<{ code: number | null; signal: string | null }>;
  stderr = '';
  readonly #pending = new Map<number, Pending>();
  readonly #watchers: { wants: (message: FromRunner) => boolean; resolve: (message: FromRunner) => void }[] =
    [];
  #nextRequest = 1;

  /** @param environment of the process, beside this one's */
  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.child = spawn(process.execPath, ['--enable-source-maps', ENTRY], {
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
    });
    this.channel = this.child.stdio[RUNNER_CHANNEL_FD] as Duplex;
    this.exited = once(this.child, 'exit').then(([code, signal]) => ({ code, signal }));
    this.child.stderr!.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString();
    });
    this.channel.on('error', (error) => {
      this.stderr += `channel: ${error.message}\n`;
    });
    const reader = new FrameReader(LIMITS.runnerFrameBytes);
    this.channel.on('data', (chunk: Buffer) => {
      for (const message of reader.push(chunk)) this.#receive(message as FromRunner);
    });
  }

  send(message: ToRunner): void {
    this.channel.write(encodeFrame(message, LIMITS.runnerFrameBytes));
  }

  load(modelPath: string, settings: Partial<RunnerSettings> = {}): void {
    this.send({
      kind: 'load',
      settings: {
        runnerId: 'runner-1' as RunnerId,
        modelPath,
        contextTokens: 512,
        sequences: 8,
        cacheCells: 4096,
        prefillChunkTokens: 64,
        threads: 1,
        gpuLayers: 0,
        part: null,
        ...settings,
      },
    });
  }

  /** Resolves with the first message, past or to come, that is wanted. */
  waitFor(wants: (message: FromRunner) => boolean): Promise<FromRunner> {
    const known = this.messages.find(wants);
    if (known !== undefined) return Promise.resolve(known);
    return new Promise((resolve) => {
      this.#watchers.push({ wants, resolve });
    });
  }

  async ready(): Promise<void> {
    const last = await this.waitFor(
      (message) => message.kind === 'fatal' || (message.kind === 'phase' && message.phase === 'ready'),
    );
    if (last.kind === 'fatal') throw new Error(last.fault.message);
  }

  generate(
    generation: Partial<GenerationRequest>,
    onEvent: (event: GenerationEvent) => void = () => undefined,
  ): { readonly request: number; readonly ended: Promise<Collected> } {
    const request = this.#nextRequest++;
    const full: GenerationRequest = {
      commandId: `command-${request}` as CommandId,
      modelId: 'tiny' as ModelId,
      input: { kind: 'text', text: 'the thing that' },
      sampling: { seed: 42, temperature: 0 },
      maxTokens: 16,
      stop: [],
      ignoreEos: false,
      topLogprobs: null,
      choices: 1,
      deadlineMs: 120_000,
      ...generation,
    };
    const collected: Collected = {
      texts: Array.from({ length: full.choices }, () => ''),
      tokens: Array.from({ length: full.choices }, () => []),
      logprobs: Array.from({ length: full.choices }, () => []),
      reasons: Array.from({ length: full.choices }, () => null),
      cachedPromptTokens: null,
      promptTokens: null,
      stats: null,
      fault: null,
    };
    const ended = new Promise<Collected>((resolve) => {
      this.#pending.set(request, { collected, resolve, onEvent });
    });
    this.send({ kind: 'generate', request, generation: full });
    return { request, ended };
  }

  /** Generates and waits for the end. */
  complete(generation: Partial<GenerationRequest>): Promise<Collected> {
    return this.generate(generation).ended;
  }

  /** Harmless when the process has ended. */
  async stop(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.exited;
    this.channel.destroy();
  }

  #receive(message: FromRunner): void {
    this.messages.push(message);
    for (const watcher of this.#watchers.filter(({ wants }) => wants(message))) {
      this.#watchers.splice(this.#watchers.indexOf(watcher), 1);
      watcher.resolve(message);
    }
    if (message.kind !== 'event') return;
    const pending = this.#pending.get(message.request);
    if (pending === undefined) throw new Error(`an event for request ${message.request}, which has ended`);
    const { collected } = pending;
    const { event } = message;
    if (event.kind === 'started') {
      collected.promptTokens = event.promptTokens;
      collected.cachedPromptTokens = event.cachedPromptTokens;
    } else if (event.kind === 'delta') {
      collected.texts[event.choice] += event.text;
      collected.tokens[event.choice]!.push(...event.tokens);
      collected.logprobs[event.choice]!.push(...(event.logprobs ?? []));
    } else if (event.kind === 'choice_finished') collected.reasons[event.choice] = event.reason;
    else if (event.kind === 'finished') collected.stats = event.stats;
    else collected.fault = event.fault;
    pending.onEvent(event);
    if (event.kind === 'finished' || event.kind === 'failed') {
      this.#pending.delete(message.request);
      pending.resolve(collected);
    }
  }
}
