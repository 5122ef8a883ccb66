/** What every room of the API works with. */
import type { FastifyBaseLogger } from 'fastify';
import type { Lifetimes } from './http/lifetime.js';
import type {
  ClusterCommands,
  FailpointService,
  GenerationService,
  NodeView,
  RequestObserver,
} from './ports.js';

/** The parts that the composition root plugs in. */
export interface ApiComponents {
  readonly generations: GenerationService;
  readonly view: NodeView;
  readonly commands: ClusterCommands;
  readonly observer: RequestObserver;
  readonly log: FastifyBaseLogger;
  /** The join token of the cluster, a secret. */
  readonly joinToken: () => string;
  /** Absent: no failpoints, neither by header nor by route. */
  readonly failpoints?: FailpointService;
}

export interface ApiContext extends ApiComponents {
  readonly lifetimes: Lifetimes;
  readonly keepAliveMs: number;
  readonly deadlineGraceMs: number;
  /** Version of the product, for `/openapi.json` and `system_fingerprint`. */
  readonly version: string;
}
