/** What the API needs from the rest of the node. `cli/node.ts` plugs the real parts in. */

import type { PlacementPreview } from '../control/placement/previews.js';
import type { Placement } from '../control/placement/types.js';
import type { InstanceRecord, MetaInstanceWish, ShardRecord } from '../control/state.js';
import type { ModelListing } from '../models/listing.js';
import type { Fault } from '../shared/errors.js';
import type { Failpoint } from '../shared/failpoints.js';
import type { GenerationEvent, GenerationRequest } from '../shared/generation.js';
import type { CommandId, InstanceId, MetaInstanceId, NodeId, RunnerId } from '../shared/ids.js';
import type { HourSample } from '../shared/lastHour.js';

/** An answer goes on at another instance, or at the same one when that is back. */
export interface GenerationMove {
  readonly from: InstanceId;
  readonly to: InstanceId;
  /** Why the place before was lost. */
  readonly reason: Fault;
  /** From the loss of the one place to the request at the other. */
  readonly waitedMs: number;
}

/** An accepted request, served by an instance. */
export interface Generation {
  readonly instanceId: InstanceId;
  readonly nodeId: NodeId;
  /**
   * Ends after `finished` or `failed`, and always ends. Leaving the loop early, or aborting the signal given to
   * `generate`, cancels the request.
   */
  readonly events: AsyncIterable<GenerationEvent>;
}

interface GenerateOptions {
  /** Told when the answer goes on at another place. */
  readonly onMoved?: (move: GenerationMove) => void;
  /** How long it may wait for a place where nothing takes it now, but may before long, in milliseconds. @default 0 */
  readonly placeWaitMs?: number;
}

export interface GenerationService {
  /** Assigns the request to an instance. Throws a `ShoalError` (`no_instance`, `queue_full`, …) when none can take it. */
  generate(request: GenerationRequest, signal: AbortSignal, options?: GenerateOptions): Promise<Generation>;
  /** Ends a request wherever it is. False when no such request is running. */
  cancel(commandId: CommandId): Promise<boolean>;
}

/** What `/events` says: an event, or the state, and the index that it brings the reader to. Plain JSON. */
export type ControlMessage =
  | { readonly index: number; readonly event: Readonly<Record<string, unknown>> }
  | { readonly index: number; readonly state: Readonly<Record<string, unknown>> };

export interface NodeView {
  readonly nodeId: NodeId;
  /** Another one after each start: an index may stand for another event then. */
  readonly historyId: string;
  /** The whole state in the form of contract.md, as plain JSON. */
  state(): Readonly<Record<string, unknown>>;
  /**
   * Tells of control events: those behind `since` at once, then each new one. When those are no longer kept, the
   * whole state comes first. @param since null = new ones only. @returns the function that ends it
   */
  followEvents(since: number | null, listener: (message: ControlMessage) => void): () => void;
  /** Null when the node has joined a master and is up to date, else the reason why not. */
  notReadyReason(): string | null;
  /** Every model that the node knows. */
  models(): Promise<readonly ModelListing[]>;
  /** The last hour of the cluster, oldest sample first. */
  lastHour(): readonly HourSample[];
  /** Metrics in the Prometheus text format. */
  metrics(): Promise<string>;
}

/** Causes faults on purpose; plugged in only where the node was started with `--failpoints`. */
export interface FailpointService {
  /**
   * @param target null = this node, and every runner of the node
   * @returns how many parts it concerns
   * @throws {ShoalError} `node_lost`, `not_found` when the node is not there or allows no faults
   */
  fail(
    failpoint: Failpoint,
    target: { readonly nodeId: NodeId | null; readonly runnerId: RunnerId | null },
  ): Promise<number>;
}

/** What a user wants to run; its id is given to it when it is taken. */
export type NewMetaInstance = Omit<MetaInstanceWish, 'metaInstanceId'>;

/**
 * An instance as a client describes it: its ranks are in order and their layers follow each other without a gap.
 * Whether the model has these layers, and its nodes the memory, is for the node to check.
 */
export interface NewInstance
  extends Pick<
    InstanceRecord,
    'modelId' | 'sharding' | 'transport' | 'contextLength' | 'maxSequences' | 'cacheCells'
  > {
  readonly shards: readonly Omit<ShardRecord, 'runnerId'>[];
}

/**
 * What a person asks of the cluster. Each rejects with the coded refusal, or `not_ready` without a master. What is made
 * with the same key twice, through whichever nodes, is made once; asked for something else, the second is refused with
 * `idempotency_key_reused`.
 */
export interface ClusterCommands {
  forgetNode(nodeId: NodeId): Promise<void>;
  deleteInstance(instanceId: InstanceId): Promise<void>;
  /**
   * Resolves when the master has taken it.
   * @throws {ShoalError} `placement_impossible` with the reason of each node when it can never fit
   */
  createMetaInstance(wish: NewMetaInstance, key: string | null): Promise<MetaInstanceId>;
  deleteMetaInstance(metaInstanceId: MetaInstanceId): Promise<void>;
  retryMetaInstance(metaInstanceId: MetaInstanceId): Promise<void>;
  /** One instance, placed now and not made again. @throws {ShoalError} `placement_impossible` when it does not fit now */
  placeInstance(wish: NewMetaInstance, key: string | null): Promise<InstanceId>;
  /** One instance, as the client placed it. */
  createInstance(instance: NewInstance, key: string | null): Promise<InstanceId>;
  /** What `placeInstance` would do. @throws {ShoalError} `placement_impossible` when it does not fit now */
  placement(wish: NewMetaInstance): Promise<Placement>;
  /** Each way to place the model, or why not. */
  previews(wish: NewMetaInstance): Promise<readonly PlacementPreview[]>;
}

/** Told once for each HTTP request that ends; for metrics. */
export interface RequestObserver {
  /**
   * `route` is the pattern, or `unmatched`. A stream that fails after its
   * first byte is told with the status of its fault, a client that left with 499.
   */
  requestEnded(request: {
    readonly route: string;
    readonly status: number;
    readonly durationMs: number;
  }): void;
}
