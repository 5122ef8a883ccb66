/**
 * What comes over a link is checked before the core sees it: a peer has the key of the cluster, but it may run another
 * version, or have a bug, and a core that took nonsense would spread it.
 */
import { z } from 'zod';
import type { PeerMessage } from '../control/cluster/messages.js';
import { RUNNER_MOVES, type RunnerStatus } from '../control/runnerLife.js';
import { ERRORS, type ErrorCode } from '../shared/errors.js';
import { LIMITS } from '../shared/limits.js';
import { jsonDetails } from './calls/fault.js';

/** A later moment is no date. */
const LATEST_DATE_MS = 8.64e15;

const id = z.string().min(1).max(LIMITS.idCharacters);
const text = z.string().max(LIMITS.faultMessageCharacters);
const modelId = z.string().min(1).max(LIMITS.modelIdCharacters);
const count = z.number().int().min(0);
/** Milliseconds since the epoch, as a date can have them: people are shown it as one. */
const time = z.number().min(0).max(LATEST_DATE_MS);

/** A fault of a later version may have a code that this one does not know. */
const faultCode = z
  .string()
  .transform((code) => (Object.hasOwn(ERRORS, code) ? code : 'internal_error') as ErrorCode);
const fault = z.object({
  code: faultCode,
  message: text,
  param: text.optional(),
  retryAfterMs: z.number().min(0).optional(),
  // What cannot be shown is left out: the rest of the fault is worth more.
  details: z
    .unknown()
    .transform((value) => jsonDetails(value).details)
    .optional(),
});

const epoch = z.object({ term: count, nodeId: z.string().max(LIMITS.idCharacters) });
const position = z.object({ index: count, epoch });

const node = z.object({
  nodeId: id,
  name: text,
  incarnation: count,
  addresses: z.array(text).max(LIMITS.addressesPerNode),
  memoryBytes: count,
  isDraining: z.boolean(),
  models: z.array(modelId).max(LIMITS.modelsPerNode),
});
const nodeStatus = z.enum(['alive', 'suspect', 'dead']);

const sharding = z.enum(['Pipeline', 'Tensor']);
const transport = z.enum(['Ring', 'Mesh']);
const failure = z.object({
  at: time,
  nodeId: id.nullable(),
  message: text,
  isExcused: z.boolean().optional(),
});

const wish = z.object({
  metaInstanceId: id,
  modelId,
  sharding,
  transport,
  minNodes: count.nullable(),
  nodeIds: z.array(id).max(LIMITS.peers).nullable(),
  requireRdma: z.boolean(),
  contextTokens: count.nullable(),
  sequences: count.nullable(),
});
const placementProblem = z.object({
  at: time,
  message: text,
  count,
  nodes: z.array(z.object({ nodeId: id, name: text, reason: text })).max(LIMITS.peers),
  circumstances: text,
});
const metaInstance = wish.extend({
  createdAt: time,
  placements: count,
  consecutiveFailures: count,
  errors: z.array(failure).max(LIMITS.metaInstanceErrors),
  placementProblem: placementProblem.nullable(),
  nextAttempt: z.object({ at: time, saidAt: time }).nullable(),
  hasFailed: z.boolean(),
  avoidedNodes: z.array(id).max(LIMITS.peers),
  servedSince: time.nullable(),
  surplusSince: time.nullable().default(null),
});

const perLayer = z.array(z.number().min(0)).max(LIMITS.modelLayers);
/** What placement computes with. */
const shape = z.object({
  modelId,
  layers: count,
  trainedContextTokens: count.nullable(),
  hiddenSize: count,
  weights: z.object({
    layerBytes: perLayer,
    embeddingBytes: count,
    firstShardBytes: count,
    outputBytes: count,
    tiedHeadBytes: count,
    commonBytes: count,
  }),
  cache: z.object({ cellBytes: perLayer, sequenceBytes: perLayer, cellMultiple: count }),
  overhead: z.object({
    fixedBytes: z.number(),
    activationBytes: z.number(),
    logitsRowBytes: z.number(),
    mostOutputRows: count,
    bytesPerCell: z.number(),
    passedRowsBytes: count,
  }),
  work: z.object({
    weightType: text.nullable().default(null),
    layerReadBytes: perLayer,
    layerOperations: perLayer,
    headReadBytes: z.number(),
    headOperations: z.number(),
  }),
  cuts: z.discriminatedUnion('canBeCut', [
    z.object({
      canBeCut: z.literal(true),
      cuts: z.array(count).max(LIMITS.modelLayers),
      layers: count,
      refusedLayerCounts: z.array(count).max(LIMITS.modelLayers),
    }),
    z.object({ canBeCut: z.literal(false), reason: text }),
  ]),
  slices: z.discriminatedUnion('canBeSliced', [
    z.object({
      canBeSliced: z.literal(true),
      dimensions: z.array(z.object({ name: text, size: count, unit: count })).max(LIMITS.modelLayers),
    }),
    z.object({ canBeSliced: z.literal(false), reason: text }),
  ]),
});

const shard = z.object({
  rank: count,
  worldSize: count,
  nodeId: id,
  runnerId: id,
  startLayer: count,
  endLayer: count,
  memoryBytes: count,
});
const instance = z
  .object({
    instanceId: id,
    metaInstanceId: id.nullable(),
    modelId,
    sharding,
    transport,
    attempt: count,
    failure: failure.nullable(),
    // Nodes and logs of earlier versions do not count them.
    excused: count.default(0),
    contextLength: count,
    maxSequences: count,
    cacheCells: count,
    shards: z.array(shard).min(1).max(LIMITS.shardsPerInstance),
  })
  .refine(({ shards }) => shards.some(({ rank }) => rank === 0));

const runnerStatus = z.enum(Object.keys(RUNNER_MOVES) as [RunnerStatus, ...RunnerStatus[]]);
const runnerFailure = fault.extend({
  phase: runnerStatus,
  signal: text.optional(),
  exitCode: z.number().optional(),
  stderrTail: z.array(text).max(LIMITS.stderrTailLines),
  ranForMs: z.number(),
});
const runner = z.object({
  runnerId: id,
  incarnation: count,
  sequence: count,
  status: runnerStatus,
  pid: count.nullable(),
  restarts: count,
  restartAt: time.nullable(),
  error: runnerFailure.nullable(),
});

const finalStatus = z.enum(['complete', 'failed', 'cancelled']);
const task = z.object({
  taskId: id,
  commandId: id,
  instanceId: id,
  kind: z.literal('generation'),
  status: z.enum(['running', 'complete', 'failed', 'cancelled']),
  apiNodeId: id,
  apiIncarnation: count,
  createdAt: time,
});
const finishedTask = z.object({ taskId: id, instanceId: id, status: finalStatus });

const event = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('MasterElected'), nodeId: id, term: count }),
  z.object({ kind: z.literal('NodeJoined'), node }),
  z.object({ kind: z.literal('NodeStatusChanged'), nodeId: id, status: nodeStatus, at: time }),
  z.object({ kind: z.literal('NodeForgotten'), nodeId: id }),
  z.object({ kind: z.literal('InstanceCreated'), instance }),
  z.object({ kind: z.literal('InstanceDeleted'), instanceId: id, avoid: id.optional() }),
  z.object({
    kind: z.literal('InstanceFailed'),
    instanceId: id,
    attempt: count,
    failure,
    nextAttemptAt: time.nullable(),
  }),
  z.object({ kind: z.literal('InstanceRetrying'), instanceId: id, attempt: count }),
  z.object({ kind: z.literal('MetaInstanceCreated'), metaInstance: wish, shape, createdAt: time }),
  z.object({ kind: z.literal('MetaInstanceDeleted'), metaInstanceId: id }),
  z.object({ kind: z.literal('MetaInstanceRetried'), metaInstanceId: id }),
  z.object({
    kind: z.literal('PlacementRefused'),
    metaInstanceId: id,
    problem: placementProblem,
    nextAttemptAt: time,
  }),
  z.object({ kind: z.literal('MetaInstanceFailed'), metaInstanceId: id }),
  z.object({ kind: z.literal('MetaInstanceServed'), metaInstanceId: id, since: time.nullable() }),
  z.object({ kind: z.literal('MetaInstanceSurplus'), metaInstanceId: id, since: time.nullable() }),
  z.object({ kind: z.literal('MetaInstanceRecovered'), metaInstanceId: id }),
  z.object({ kind: z.literal('RunnerStatusChanged'), runner }),
  z.object({ kind: z.literal('TaskAssigned'), task }),
  finishedTask.extend({ kind: z.literal('TaskFinished') }),
]);
const entry = z.object({ index: count, epoch, event });

const snapshot = z.object({
  position,
  term: count,
  masterNodeId: id.nullable(),
  nodes: z.array(node.extend({ status: nodeStatus, statusSince: time })),
  instances: z.array(instance),
  runners: z.array(runner.extend({ instanceId: id, nodeId: id, rank: count })),
  tasks: z.array(task),
  finishedTasks: z.array(task).max(LIMITS.finishedTasks),
  deletedInstances: z.array(id).max(LIMITS.deletedInstances),
  metaInstances: z.array(metaInstance),
  deletedMetaInstances: z.array(id).max(LIMITS.deletedMetaInstances),
  modelShapes: z.array(shape),
});

const facts = z.object({
  node: node.nullable(),
  instances: z.array(instance),
  deletedInstances: z.array(id).max(LIMITS.deletedInstances),
  metaInstances: z.array(z.object({ metaInstance: wish, shape, createdAt: time })),
  deletedMetaInstances: z.array(id).max(LIMITS.deletedMetaInstances),
  runners: z.array(runner),
  openTasks: z.array(task),
  finishedTasks: z.array(finishedTask),
});

const command = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('AssignTask'),
    taskId: id,
    commandId: id,
    modelId: z.string().max(LIMITS.modelIdCharacters),
    apiNodeId: id,
    apiIncarnation: count,
    unreachable: z.array(id).max(LIMITS.peers),
    avoid: id.nullable(),
    leastContext: count.optional(),
  }),
  z.object({ kind: z.literal('CreateInstance'), instance }),
  z.object({ kind: z.literal('DeleteInstance'), instanceId: id }),
  z.object({ kind: z.literal('ForgetNode'), nodeId: id }),
  z.object({ kind: z.literal('CreateMetaInstance'), metaInstance: wish, shape }),
  z.object({ kind: z.literal('DeleteMetaInstance'), metaInstanceId: id }),
  z.object({ kind: z.literal('RetryMetaInstance'), metaInstanceId: id }),
]);
const answer = z.union([
  z.object({
    kind: z.literal('Assignment'),
    taskId: id,
    instanceId: id,
    nodeId: id,
    runnerId: id,
  }),
  z.object({ kind: z.literal('Done') }),
  z.object({ fault }),
]);

const direct = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('Pulse'),
    incarnation: count,
    counter: count,
    echo: count,
    role: z.enum(['joining', 'follower', 'electing', 'master', 'leaving']),
    following: epoch.nullable(),
    claims: z.array(z.object({ epoch, members: count, since: time })).max(LIMITS.peers),
    position,
    missing: z.array(id).max(LIMITS.peers),
  }),
  z.object({ kind: z.literal('Join'), epoch, position, facts }),
  z.object({ kind: z.literal('Need'), epoch, position }),
  z.object({ kind: z.literal('Report'), facts }),
  z.object({ kind: z.literal('Ack'), position }),
  z.object({
    kind: z.literal('Append'),
    epoch,
    previous: position,
    entries: z.array(entry),
    acknowledge: z.boolean(),
  }),
  z.object({ kind: z.literal('Install'), epoch, replaces: position, snapshot }),
  z.object({ kind: z.literal('Command'), key: id, command }),
  z.object({ kind: z.literal('Answer'), key: id, answer }),
]);
const relay = z.object({ kind: z.literal('Relay'), from: id, to: id, message: direct });
const peerMessage = z.discriminatedUnion('kind', [...direct.options, relay]);

/** Kinds of messages that are for the core. */
const KINDS: ReadonlySet<unknown> = new Set(
  peerMessage.options.map(({ shape }) => shape.kind.value as PeerMessage['kind']),
);

export type Parsed =
  | { readonly message: PeerMessage }
  /** It is for the core, but not as it should be. */
  | { readonly problem: string }
  | null;

/** Null for a message that is not for the core. */
export function parsePeerMessage(value: unknown): Parsed {
  if (typeof value !== 'object' || value === null || !KINDS.has((value as { kind?: unknown }).kind))
    return null;
  const parsed = peerMessage.safeParse(value);
  // The schemas say what the types say, but for the brands of ids.
  if (parsed.success) return { message: parsed.data as unknown as PeerMessage };
  return { problem: z.prettifyError(parsed.error).slice(0, LIMITS.faultMessageCharacters) };
}
