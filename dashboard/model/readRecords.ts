/**
 * The API's JSON of one thing as the record that the node's own reducer works on: `src/control/view.ts` the other way
 * round. What the JSON leaves out, because nothing that is shown follows from it, is filled with what changes nothing.
 */
import type { ModelShape } from '../../src/control/placement/types.js';
import type {
  InstanceFailure,
  InstanceRecord,
  MetaInstanceRecord,
  MetaInstanceWish,
  NodeRecord,
  PlacementProblem,
  RunnerFact,
  TaskRecord,
} from '../../src/control/state.js';
import { fromWire, readTime, readTimeOrNull } from './camelCase.js';

export type Json = Readonly<Record<string, unknown>>;

/** A page is told for which models there is a shape, and no more. */
export const UNTOLD_SHAPE = {} as ModelShape;

const NODE_FIELDS: readonly string[] = [
  'node_id',
  'name',
  'incarnation',
  'addresses',
  'memory_bytes',
  'is_draining',
  'models',
  'status',
] satisfies readonly Snake<keyof NodeRecord>[];
const RUNNER_FIELDS: readonly string[] = [
  'runner_id',
  'instance_id',
  'node_id',
  'rank',
  'incarnation',
  'sequence',
  'status',
  'pid',
  'restarts',
  'restart_at',
  'error',
];

type Snake<Name extends string> = Name extends `${infer Head}${infer Rest}`
  ? `${Head extends Lowercase<Head> ? Head : `_${Lowercase<Head>}`}${Snake<Rest>}`
  : '';

export function readNode(json: Json): NodeRecord {
  return { statusSince: 0, ...(fromWire(only(json, NODE_FIELDS)) as object) } as NodeRecord;
}

/** What is measured of a node, beside its record. */
export function nodeMeasures(json: Json): Json {
  return without(json, NODE_FIELDS);
}

export function readRunner<Runner extends RunnerFact>(json: Json): Runner {
  const runner = fromWire(only(json, RUNNER_FIELDS)) as Partial<Runner>;
  const { incarnation = 0, sequence = 0, error = null } = runner;
  return { ...runner, incarnation, sequence, error, restartAt: readTimeOrNull(json.restart_at) } as Runner;
}

export function runnerMeasures(json: Json): Json {
  return without(json, RUNNER_FIELDS);
}

export function readInstance(json: Json): InstanceRecord {
  const { status: _derived, failure, ...fields } = json;
  const {
    shards = [],
    attempt = 1,
    excused = 0,
    metaInstanceId = null,
    ...rest
  } = fromWire(fields) as Partial<InstanceRecord>;
  return {
    ...rest,
    shards,
    attempt,
    excused,
    metaInstanceId,
    failure: readFailure(failure),
  } as InstanceRecord;
}

export function readFailure(value: unknown): InstanceFailure | null {
  if (value == null) return null;
  const { at, node_id: nodeId = null, message, is_excused: isExcused } = value as Json;
  return {
    at: readTime(at),
    nodeId,
    message,
    ...(isExcused === true ? { isExcused } : {}),
  } as InstanceFailure;
}

export function readWish(json: Json): MetaInstanceWish {
  const { contextLength, maxSequences, ...wish } = fromWire(json) as Json;
  return { ...wish, contextTokens: contextLength, sequences: maxSequences } as unknown as MetaInstanceWish;
}

export function readMetaInstance(json: Json): MetaInstanceRecord {
  const { status, consecutive_failures, max_retries: _limit, errors, avoided_nodes, ...rest } = json;
  const { placement_error, next_attempt_at, created_at, ...wish } = rest;
  return {
    ...readWish(wish),
    createdAt: readTime(created_at),
    placements: 0,
    consecutiveFailures: consecutive_failures ?? 0,
    errors: ((errors ?? []) as unknown[]).map(readFailure),
    placementProblem: placement_error == null ? null : readProblem(placement_error as Json),
    nextAttempt: next_attempt_at == null ? null : { at: readTime(next_attempt_at), saidAt: 0 },
    hasFailed: status === 'failed',
    avoidedNodes: avoided_nodes ?? [],
    servedSince: null,
    surplusSince: null,
  } as unknown as MetaInstanceRecord;
}

export function readProblem({ at, message, nodes }: Json): PlacementProblem {
  const verdicts = (nodes ?? []) as readonly unknown[];
  return {
    at: readTime(at),
    message,
    nodes: verdicts.map(fromWire),
    count: 1,
    circumstances: '',
  } as PlacementProblem;
}

export function readTask(json: Json): TaskRecord {
  const { apiIncarnation = 0, ...task } = fromWire(json) as Partial<TaskRecord>;
  return { ...task, apiIncarnation, createdAt: readTime(json.created_at) } as TaskRecord;
}

function only(json: Json, names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => names.includes(name)));
}

function without(json: Json, names: readonly string[]): Json {
  return Object.fromEntries(Object.entries(json).filter(([name]) => !names.includes(name)));
}
