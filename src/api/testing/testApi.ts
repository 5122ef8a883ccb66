/** An API server on a loopback port, over in-memory parts, for tests. */
import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { placementFault } from '../../control/placement/explainRefusal.js';
import type { PlacementPreview } from '../../control/placement/previews.js';
import type { Placement, PlacementRefusal } from '../../control/placement/types.js';
import type { ModelListing } from '../../models/listing.js';
import { ShoalError } from '../../shared/errors.js';
import type { InstanceId, MetaInstanceId, ModelId, NodeId } from '../../shared/ids.js';
import type { HourSample } from '../../shared/lastHour.js';
import type {
  ClusterCommands,
  ControlMessage,
  FailpointService,
  NewInstance,
  NewMetaInstance,
  NodeView,
} from '../ports.js';
import { type ApiOptions, createApiServer } from '../server.js';
import { type Behaviour, InMemoryGenerations } from './inMemoryGenerations.js';

export interface TestApi {
  readonly app: FastifyInstance;
  readonly url: string;
  readonly port: number;
  readonly generations: InMemoryGenerations;
  readonly commands: InMemoryCommands;
  /** Those that follow the events now. */
  readonly followers: Set<(message: ControlMessage) => void>;
  /** What the observer was told. */
  readonly ended: { route: string; status: number; durationMs: number }[];
  /** Log lines, parsed. */
  readonly log: Record<string, unknown>[];
  /** What `/state` shows. May be changed by a test. */
  state: Readonly<Record<string, unknown>>;
  /** What `/activity` shows. May be changed by a test. */
  lastHour: readonly HourSample[];
  /** May be changed by a test. */
  notReady: string | null;
  close(): Promise<void>;
}

const LISTING: ModelListing = {
  modelId: 'tiny' as ModelId,
  path: 'tiny.gguf',
  embedded: true,
  fileBytes: 9_000_000,
  architecture: 'llama',
  quantisation: 'Q8_0',
  parameters: 7_000_000,
  layers: 8,
  contextTokens: 4096,
  memory: { weightsBytes: 1, cacheBytes: 2, overheadBytes: 3, totalBytes: 6 },
  license: 'MIT',
  refusal: null,
  created: 1_760_000_000,
};

/** What `GET /state` shows in tests. Its ids hold separators on purpose. */
export const TEST_STATE = {
  index: 7,
  instances: {},
  meta_instances: {},
  runners: {},
  nodes: { n1: { node_id: 'n1', memory: { total_bytes: 64, available_bytes: 32 }, addresses: ['a', 'b'] } },
  model_cards: { 'owner/qwen2.5': { layers: 8 } },
};

export const TEST_TOKEN = 'shoal1testtoken';

export interface TestApiOptions {
  readonly models?: Readonly<Record<string, Behaviour>>;
  readonly capacity?: number;
  readonly api?: Partial<ApiOptions>;
  readonly failpoints?: FailpointService;
  /** Of the node that it stands for; one that is started again has another. */
  readonly historyId?: string;
}

/** Writes down what was asked for, and refuses it when a test says so. */
class InMemoryCommands implements ClusterCommands {
  readonly forgotten: NodeId[] = [];
  readonly deleted: InstanceId[] = [];
  readonly wishes: NewMetaInstance[] = [];
  readonly placed: (NewMetaInstance | NewInstance)[] = [];
  /** Of each thing that was made. */
  readonly keys: (string | null)[] = [];
  readonly takenBack: MetaInstanceId[] = [];
  readonly retried: MetaInstanceId[] = [];
  refusal: ShoalError | null = null;
  /** What placement says of every wish. */
  placing: Placement | PlacementRefusal | null = null;

  async forgetNode(nodeId: NodeId): Promise<void> {
    this.#record(this.forgotten, nodeId);
  }

  async deleteInstance(instanceId: InstanceId): Promise<void> {
    this.#record(this.deleted, instanceId);
  }

  async createMetaInstance(wish: NewMetaInstance, key: string | null): Promise<MetaInstanceId> {
    this.keys.push(key);
    if (this.placing?.kind === 'refused' && !this.placing.canFitLater) {
      throw ShoalError.fromFault(placementFault(this.placing));
    }
    return `m${this.#record(this.wishes, wish)}` as MetaInstanceId;
  }

  async deleteMetaInstance(metaInstanceId: MetaInstanceId): Promise<void> {
    this.#record(this.takenBack, metaInstanceId);
  }

  async retryMetaInstance(metaInstanceId: MetaInstanceId): Promise<void> {
    this.#record(this.retried, metaInstanceId);
  }

  async placeInstance(wish: NewMetaInstance, key: string | null): Promise<InstanceId> {
    this.keys.push(key);
    await this.placement(wish);
    return `i${this.#record(this.placed, wish)}` as InstanceId;
  }

  async createInstance(instance: NewInstance, key: string | null): Promise<InstanceId> {
    this.keys.push(key);
    return `i${this.#record(this.placed, instance)}` as InstanceId;
  }

  async placement(wish: NewMetaInstance): Promise<Placement> {
    if (this.placing?.kind === 'placed') return this.placing;
    throw this.placing === null
      ? new ShoalError('model_not_found', `No model "${wish.modelId}" is known.`, { param: 'model_id' })
      : ShoalError.fromFault(placementFault(this.placing));
  }

  async previews({ sharding, transport }: NewMetaInstance): Promise<readonly PlacementPreview[]> {
    return this.placing === null ? [] : [{ sharding, transport, minNodes: 1, result: this.placing }];
  }

  #record<Asked>(list: Asked[], asked: Asked): number {
    if (this.refusal !== null) throw this.refusal;
    return list.push(asked);
  }
}

/** Starts it. The model `tiny` speaks; others behave as `models` says. Close it in the test's `finally` or `after`. */
export async function startTestApi(options: TestApiOptions = {}): Promise<TestApi> {
  const generations = new InMemoryGenerations(
    { tiny: { kind: 'speaks' }, elsewhere: { kind: 'speaks' }, ...options.models },
    options.capacity,
  );
  const ended: TestApi['ended'] = [];
  const followers: TestApi['followers'] = new Set();
  const log: Record<string, unknown>[] = [];
  const commands = new InMemoryCommands();
  const view: NodeView = {
    nodeId: 'n1' as NodeId,
    historyId: options.historyId ?? 'the same history',
    state: () => api.state,
    followEvents: (since, listener) => {
      const event = { kind: 'MasterElected', node_id: 'n1', term: 1 };
      if (since === 0) listener({ index: 7, state: api.state });
      else if (since !== null) listener({ index: since + 1, event });
      followers.add(listener);
      return () => followers.delete(listener);
    },
    notReadyReason: () => api.notReady,
    models: async () => [
      LISTING,
      { ...LISTING, modelId: 'owner/broken' as ModelId, refusal: 'no tensors' },
      { ...LISTING, modelId: 'elsewhere' as ModelId, path: '', embedded: false },
    ],
    lastHour: () => api.lastHour,
    metrics: async () => 'shoal_up 1\n',
  };
  const app = createApiServer(
    {
      generations,
      view,
      commands,
      joinToken: () => TEST_TOKEN,
      observer: {
        requestEnded: (request) => ended.push(request),
      },
      log: pino({ level: 'debug' }, { write: (line: string) => log.push(JSON.parse(line)) }),
      ...(options.failpoints === undefined ? {} : { failpoints: options.failpoints }),
    },
    { host: '127.0.0.1', drainMs: 0, ...options.api },
  );
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  const api: TestApi = {
    app,
    url: `http://127.0.0.1:${port}`,
    port,
    generations,
    commands,
    state: TEST_STATE,
    ended,
    log,
    followers,
    lastHour: [],
    notReady: null,
    close: () => app.close(),
  };
  return api;
}

/** A chat request body for `model`. */
export function chatBody(
  model: string,
  more: Readonly<Record<string, unknown>> = {},
): Record<string, unknown> {
  return { model, messages: [{ role: 'user', content: 'Tell me about the sea' }], ...more };
}

/** Sends a JSON body. */
export function post(
  api: TestApi,
  path: string,
  body: unknown,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(api.url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
    // No test request may wait longer.
    signal: AbortSignal.timeout(10_000),
  });
}

/** The `data:` payloads of a stream, without `[DONE]`, which must be the last one. */
export function streamData(text: string): unknown[] {
  const payloads = text
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length));
  if (payloads.pop() !== '[DONE]') throw new Error(`the stream does not end with [DONE]: ${text}`);
  return payloads.map((payload) => JSON.parse(payload));
}

const POLL_MS = 5;
const PATIENCE_POLLS = 1_000;

/** Waits until something holds that another part brings about; bounded. */
export async function eventually(holds: () => boolean): Promise<void> {
  for (let poll = 0; poll < PATIENCE_POLLS; poll += 1) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  throw new Error('it did not come to pass');
}
