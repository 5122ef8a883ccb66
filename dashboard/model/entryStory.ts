/** Why a model is served or not, in words for somebody who sees it for the first time, and what to do about it. */
import { failureOf, type ModelEntry, nodeName, phaseOf, type Tone } from './clusterView.js';
import { formatDuration, formatShare, plural } from './format.js';
import type { InstanceEntry, MetaInstanceEntry, PageState, PlacementErrorEntry } from './wire.js';

/** What the API says when it does not say another number. */
const MOST_RETRIES = 3;

export interface EntryStory {
  /** One or two words. */
  readonly status: string;
  readonly tone: Tone;
  /** What is. */
  readonly headline: string;
  /** What follows, or what to do; null when there is nothing. */
  readonly advice: string | null;
  /** Share of the whole start that is done, 0 to 1; null while it is not known. */
  readonly progress: number | null;
  readonly retries: { readonly used: number; readonly most: number } | null;
  /** Why there is no place for it. */
  readonly placementError: PlacementErrorEntry | null;
}

type Part = Partial<EntryStory> & Pick<EntryStory, 'status' | 'tone' | 'headline'>;

/** @param now in ms since the epoch */
export function entryStory(state: PageState, entry: ModelEntry, now: number): EntryStory {
  const told = entry.metaInstance === null ? plainStory(state, entry) : wishStory(state, entry, now);
  const placementError = entry.metaInstance?.placement_error ?? null;
  return { advice: null, progress: null, retries: retriesOf(entry), placementError, ...told };
}

function wishStory(state: PageState, entry: ModelEntry, now: number): Part {
  const wish = entry.metaInstance as NonNullable<ModelEntry['metaInstance']>;
  const [instance] = entry.instances;
  switch (wish.status) {
    case 'ready':
      return readyStory(state, entry);
    case 'starting':
      return instance === undefined
        ? { status: 'starting', tone: 'busy', headline: 'It is about to start.' }
        : startingStory(state, instance);
    case 'placing':
      return { status: 'being placed', tone: 'busy', headline: 'A place is being looked for.' };
    case 'pending':
      return {
        status: 'waiting',
        tone: 'warning',
        headline: wish.placement_error?.message ?? 'It fits nowhere just now.',
        advice:
          'It starts by itself as soon as it fits: add a machine, bring one back, delete what else runs, or run it ' +
          `with a shorter context.${nextLook(wish.next_attempt_at, now)}`,
      };
    case 'failed':
      return {
        status: 'given up',
        tone: 'bad',
        headline: `It failed ${plural(wish.consecutive_failures, 'time')} in a row and is not tried any more${lastError(entry)}`,
        advice: 'See to the cause, then press Retry. Until you do, or delete it, it stays here.',
      };
    default:
      return retryingStory(state, entry, now);
  }
}

function retryingStory(state: PageState, entry: ModelEntry, now: number): Part {
  const wish = entry.metaInstance as NonNullable<ModelEntry['metaInstance']>;
  const [instance] = entry.instances;
  const story = { status: 'retrying', tone: 'warning' } as const;
  const gone = instance === undefined ? null : goneNode(state, instance);
  if (gone !== null) {
    return {
      ...story,
      headline: `${gone} is gone, and its part of the model with it.`,
      advice:
        wish.node_ids === null
          ? `When ${gone} comes back it goes on there; where the model fits elsewhere, it moves after a while.`
          : `It was asked for on these machines and no others: it goes on when ${gone} is back.`,
    };
  }
  if (instance === undefined) {
    const avoided = (wish.avoided_nodes ?? []).map((id) => nodeName(state, id)).join(', ');
    return {
      ...story,
      headline: `It failed too often${avoided === '' ? '' : ` on ${avoided}`} and goes to another place${lastError(entry)}`,
    };
  }
  const isWaiting = instance.failure != null || wish.next_attempt_at !== null;
  if (!isWaiting && instance.status !== 'failing') {
    const { headline, progress = null } = startingStory(state, instance);
    return {
      ...story,
      progress,
      headline: `${headline}`,
      advice: `The last attempt failed${lastError(entry)}`,
    };
  }
  return { ...story, headline: `It failed${lastError(entry)}`, advice: whatFollows(wish, instance, now) };
}

function whatFollows(wish: MetaInstanceEntry, { attempt }: InstanceEntry, now: number): string {
  const most = wish.max_retries ?? MOST_RETRIES;
  const end = wish.node_ids === null ? 'it is tried elsewhere' : 'it is given up until you act';
  if (attempt > most) return `That was the last retry here: now ${end}.`;
  const at = wish.next_attempt_at;
  const when = at === null ? 'when all its parts have stopped' : inTime(at, now);
  return `Retry ${attempt} of ${most} follows ${when}. When all fail, ${end}.`;
}

function plainStory(state: PageState, entry: ModelEntry): Part {
  const instance = entry.instances[0] as InstanceEntry;
  if (instance.status === 'ready') return readyStory(state, entry);
  if (instance.status === 'starting') return startingStory(state, instance);
  if (instance.status === 'stopping')
    return { status: 'stopping', tone: 'off', headline: 'It stops, or waits for its other parts to stop.' };
  const gone = goneNode(state, instance);
  if (gone !== null) {
    return {
      status: 'failing',
      tone: 'bad',
      headline: `${gone} is gone, and its part of the model with it.`,
      advice: 'It was run once and is not moved. Delete it, and run it as one that is kept running.',
    };
  }
  return {
    status: 'failing',
    tone: 'bad',
    headline: 'A part of it failed; the machine starts it again by itself.',
    advice: 'Its errors stand below. If it does not come back, delete it.',
  };
}

function readyStory(state: PageState, { instances }: ModelEntry): Part {
  const ready = instances.filter(({ status }) => status === 'ready');
  const names = [
    ...new Set(ready.flatMap(({ shards }) => shards.map(({ node_id: id }) => nodeName(state, id)))),
  ];
  return { status: 'ready', tone: 'good', headline: `It answers requests, on ${listed(names)}.` };
}

function startingStory(state: PageState, instance: InstanceEntry): Part {
  const phases = instance.shards.map((shard) => ({ shard, phase: phaseOf(state, shard) }));
  const open = phases.filter(({ phase }) => !phase.isServing);
  const doing = open.map(({ shard, phase }) => `${phase.text} on ${nodeName(state, shard.node_id)}`);
  const done = phases.reduce((sum, { phase }) => sum + phase.done, 0);
  return {
    status: 'starting',
    tone: 'busy',
    headline: doing.length === 0 ? 'It is about to be ready.' : `It starts: ${listed(doing)}.`,
    progress: phases.length === 0 ? null : done / phases.length,
  };
}

/** Retries of the instance that is there, in place; the one that is waited for counts. */
function retriesOf({ metaInstance, instances }: ModelEntry): EntryStory['retries'] {
  const [instance] = instances;
  if (metaInstance === null || metaInstance.consecutive_failures === 0) return null;
  const most = metaInstance.max_retries ?? MOST_RETRIES;
  if (metaInstance.status === 'failed' || instance === undefined) return { used: most, most };
  const hasFailed = instance.failure != null || instance.status === 'failing';
  const used = hasFailed ? instance.attempt : instance.attempt - 1;
  return used === 0 ? null : { used: Math.min(used, most), most };
}

function goneNode(state: PageState, { shards }: InstanceEntry): string | null {
  const gone = shards.find(({ node_id: id }) => (state.nodes[id]?.status ?? 'dead') === 'dead');
  return gone === undefined ? null : nodeName(state, gone.node_id);
}

/** As the end of a sentence. */
function lastError({ metaInstance }: ModelEntry): string {
  const last = metaInstance?.errors.at(-1);
  return last === undefined ? '.' : `: ${ended(last.message)}`;
}

function nextLook(at: string | null, now: number): string {
  return at === null ? '' : ` The next look is ${inTime(at, now)}.`;
}

function inTime(time: string, now: number): string {
  const left = Date.parse(time) - now;
  return left > 1_000 ? `in ${formatDuration(left)}` : 'now';
}

const ended = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`);

function listed(pieces: readonly string[]): string {
  if (pieces.length < 2) return pieces.join('');
  return `${pieces.slice(0, -1).join(', ')} and ${pieces.at(-1)}`;
}

/** A thing that keeps a model from being served, for the top of the page. */
export interface Problem {
  readonly key: string;
  readonly modelId: string;
  readonly tone: Tone;
  /** Such as `big is not served: it fits nowhere`. */
  readonly title: string;
  readonly text: string;
  readonly advice: string | null;
  readonly nodes: PlacementErrorEntry['nodes'];
}

export function problems(state: PageState, entries: readonly ModelEntry[], now: number): Problem[] {
  return entries.flatMap((entry) => {
    const story = entryStory(state, entry, now);
    const meeting = meetingFailure(state, entry);
    const { key, modelId, metaInstance } = entry;
    const base = { key, modelId, tone: story.tone, advice: story.advice, nodes: [] };
    if (metaInstance?.placement_error != null && story.tone !== 'good') {
      const { message, nodes } = metaInstance.placement_error;
      return [{ ...base, title: `${modelId} is not served: there is no place for it`, text: message, nodes }];
    }
    if (meeting !== null && story.tone !== 'good') {
      return [{ ...base, title: `${modelId} is not served: its machines could not meet`, text: meeting }];
    }
    if (metaInstance?.status === 'failed')
      return [{ ...base, title: `${modelId} is not served: it was given up`, text: story.headline }];
    return [];
  });
}

/** The parts of a model meet, over the side channel, before they load; what fails then is of the way between them. */
function meetingFailure(state: PageState, { instances }: ModelEntry): string | null {
  for (const { shards } of instances) {
    if (shards.length < 2) continue;
    for (const shard of shards) {
      const failure = failureOf(state, shard);
      if (failure?.phase === 'connecting') return `${failure.nodeName}: ${failure.message}`;
    }
  }
  return null;
}

/** How far all of it is, for people who cannot see the bar. */
export function progressText(progress: number): string {
  return `${formatShare(progress)} of the way`;
}
