/** What happens in the cluster, as lines that people read and filter. */

import { nodeName, type Tone } from './clusterView.js';
import { plural, shortId, shortRequestId } from './format.js';
import {
  type InstanceEntry,
  isComplete,
  type NodeEntry,
  type PageState,
  type RunnerEntry,
  type TaskEntry,
  type WireEvent,
} from './wire.js';

export type FeedTopic = 'nodes' | 'models' | 'requests';
export const FEED_TOPICS: readonly FeedTopic[] = ['nodes', 'models', 'requests'];

export interface FeedLine {
  readonly index: number;
  /** When this page heard of it, in ms since the epoch. */
  readonly heardAt: number;
  readonly topic: FeedTopic;
  readonly tone: Tone;
  readonly text: string;
  /** What `topic` and text do not say; shown on demand. */
  readonly detail: string | null;
}

/** @param before the state without the event: names of what it removes are still there */
export function feedLine(before: PageState, event: WireEvent, index: number, heardAt: number): FeedLine {
  return { index, heardAt, detail: null, ...describe(before, event) };
}

type Description = Pick<FeedLine, 'topic' | 'tone' | 'text'> & { readonly detail?: string | null };

function describe(state: PageState, event: WireEvent): Description {
  const node = () => nodeName(state, event.node_id as string);
  switch (isComplete(event) ? event.kind : null) {
    case 'MasterElected':
      return { topic: 'nodes', tone: 'good', text: `${node()} leads the cluster now (term ${event.term})` };
    case 'NodeJoined':
      return { topic: 'nodes', tone: 'good', text: `${(event.node as NodeEntry).name} joined` };
    case 'NodeStatusChanged': {
      const tone = event.status === 'alive' ? 'good' : event.status === 'suspect' ? 'warning' : 'bad';
      return { topic: 'nodes', tone, text: `${node()} is ${event.status}` };
    }
    case 'NodeForgotten':
      return { topic: 'nodes', tone: 'off', text: `${node()} was forgotten` };
    case 'InstanceCreated': {
      const { model_id, shards } = event.instance as InstanceEntry;
      return {
        topic: 'models',
        tone: 'busy',
        text: `${model_id} starts on ${plural(shards.length, 'node')}`,
      };
    }
    case 'InstanceDeleted': {
      const instance = state.instances[event.instance_id as string];
      const name = instance?.model_id ?? shortId(event.instance_id as string);
      return { topic: 'models', tone: 'off', text: `${name} was deleted` };
    }
    case 'RunnerStatusChanged':
      return runnerLine(state, event.runner as RunnerEntry);
    case 'TaskAssigned':
      return {
        topic: 'requests',
        tone: 'busy',
        text: `Request ${shortRequestId((event.task as TaskEntry).command_id)} goes to ${modelOf(state, (event.task as TaskEntry).instance_id)}`,
      };
    case 'TaskFinished': {
      const tone = event.status === 'complete' ? 'good' : event.status === 'failed' ? 'bad' : 'off';
      const id = state.tasks[event.task_id as string]?.command_id ?? (event.task_id as string);
      return { topic: 'requests', tone, text: `Request ${shortRequestId(id)}: ${event.status}` };
    }
    case null:
      return { topic: 'models', tone: 'off', text: inWords(event.kind), detail: JSON.stringify(event) };
    default:
      return { topic: 'models', ...describeWish(state, event) };
  }
}

/** What becomes of what users want to run. */
function describeWish(state: PageState, event: WireEvent): Omit<Description, 'topic'> {
  const model = () =>
    state.meta_instances[event.meta_instance_id as string]?.model_id ??
    shortId(event.meta_instance_id as string);
  switch (event.kind) {
    case 'InstanceFailed': {
      const { node_id: nodeId, message } = event.failure as { node_id?: string; message: string };
      const where = nodeId === undefined ? '' : ` on ${nodeName(state, nodeId)}`;
      const text = `${modelOf(state, event.instance_id as string)} failed${where}, attempt ${event.attempt}`;
      return { tone: 'bad', text, detail: message };
    }
    case 'InstanceRetrying':
      return {
        tone: 'busy',
        text: `${modelOf(state, event.instance_id as string)} is started again, attempt ${event.attempt}`,
      };
    case 'MetaInstanceCreated':
      return { tone: 'busy', text: `${(event.meta_instance as { model_id: string }).model_id} shall run` };
    case 'MetaInstanceDeleted':
      return { tone: 'off', text: `${model()} shall not run any more` };
    case 'MetaInstanceRetried':
      return { tone: 'busy', text: `${model()} is tried again, as a user asked` };
    case 'PlacementRefused':
      return {
        tone: 'warning',
        text: `${model()} has no place`,
        detail: (event.placement_error as { message: string }).message,
      };
    case 'MetaInstanceFailed':
      return { tone: 'bad', text: `${model()} has failed too often and is not tried any more` };
    case 'MetaInstanceServed':
      return event.since === null
        ? { tone: 'warning', text: `${model()} is not served any more` }
        : { tone: 'good', text: `${model()} is served` };
    case 'MetaInstanceSurplus':
      return event.since === null
        ? { tone: 'off', text: `${model()} runs as often as it should again` }
        : { tone: 'off', text: `${model()} runs more often than it should; one of them goes` };
    case 'MetaInstanceRecovered':
      return { tone: 'good', text: `${model()} has been well for a while; its failures are forgiven` };
    default:
      return { tone: 'off', text: inWords(event.kind), detail: JSON.stringify(event) };
  }
}

function runnerLine(state: PageState, fact: RunnerEntry): Description {
  const known = state.runners[fact.runner_id];
  const model = known === undefined ? `runner ${shortId(fact.runner_id)}` : modelOf(state, known.instance_id);
  const where = known === undefined ? '' : ` on ${nodeName(state, known.node_id)}`;
  const text = `${model}${where}: ${fact.status.replaceAll('_', ' ')}`;
  if (fact.status === 'failed') {
    return { topic: 'models', tone: 'bad', text, detail: fact.error?.message ?? null };
  }
  return { topic: 'models', tone: fact.status === 'ready' ? 'good' : 'busy', text };
}

function modelOf(state: PageState, instanceId: string): string {
  return state.instances[instanceId]?.model_id ?? shortId(instanceId);
}

/** `MetaInstanceCreated` → `Meta instance created`. */
function inWords(kind: string): string {
  const words = kind.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

export interface FeedFilter {
  readonly topics: ReadonlySet<FeedTopic>;
  readonly onlyProblems: boolean;
  readonly text: string;
}

/** Newest first. */
export function filterFeed(
  lines: readonly FeedLine[],
  { topics, onlyProblems, text }: FeedFilter,
): FeedLine[] {
  const wanted = text.trim().toLowerCase();
  return lines
    .filter(
      (line) =>
        topics.has(line.topic) &&
        (!onlyProblems || line.tone === 'bad' || line.tone === 'warning') &&
        (wanted === '' || `${line.text} ${line.detail ?? ''}`.toLowerCase().includes(wanted)),
    )
    .reverse();
}
