/**
 * What another rank may say: it is another process on another machine, and may be of another version, broken or hostile.
 * Whatever would make this rank throw, wait or compute without end is refused here, so that the other one is named for it.
 */
import type { Engine } from '../../engine/contract.js';
import { type Fault, isFault, ShoalError } from '../../shared/errors.js';
import { FrameError } from '../../shared/frames.js';
import { LIMITS } from '../../shared/limits.js';
import { type ResolvedSampling, resolveSampling } from '../sampler/parameters.js';
import type { Drawing, Drawn } from '../step/contract.js';

/** Of the model as this rank has it. */
export interface MessageBounds {
  /** Sequence slots. */
  readonly sequences: number;
  readonly vocabularySize: number;
}

export function boundsOf({ capacity, shape }: Engine): MessageBounds {
  return { sequences: capacity.sequences, vocabularySize: shape.vocabularySize };
}

type Fields<Value> = Readonly<Partial<Record<keyof Value, unknown>>>;

const WORDS = 2 ** 32;

/** @throws {FrameError} as all of these, unless there is such a slot */
export function checkSlot(slot: unknown, { sequences }: MessageBounds): void {
  if (!isIndex(slot, sequences)) throw new FrameError(`sequence ${String(slot)} of ${sequences}`);
}

export function checkCount(count: unknown): void {
  if (!isIndex(count, WORDS)) throw new FrameError(`a length of ${String(count)}`);
}

/** `prompt` and `known` have been read as integers already. */
export function checkDrawing(value: unknown, { vocabularySize }: MessageBounds): void {
  const { sampling, key, forbidden, prompt, topLogprobs, known } = fieldsOf<Drawing>(value);
  checkSampling(sampling, vocabularySize);
  const isToken = (token: unknown) => isIndex(token, vocabularySize);
  const isSound =
    Array.isArray(key) &&
    key.length === 2 &&
    key.every((word) => isIndex(word, WORDS)) &&
    Array.isArray(forbidden) &&
    forbidden.every(isToken) &&
    (prompt === null || (prompt instanceof Int32Array && prompt.every(isToken))) &&
    known instanceof Int32Array &&
    known.every(isToken) &&
    (topLogprobs === null || isIndex(topLogprobs, LIMITS.topLogprobs + 1));
  if (!isSound) throw new FrameError('no way to draw tokens');
}

function checkSampling(value: unknown, vocabularySize: number): void {
  const { logitBias, ...numbers } = fieldsOf<ResolvedSampling>(value);
  const isPair = (pair: unknown) => Array.isArray(pair) && pair.every((part) => typeof part === 'number');
  const isSound =
    Object.values(numbers).every((number) => typeof number === 'number') &&
    Array.isArray(logitBias) &&
    logitBias.every(isPair);
  if (!isSound) throw new FrameError('no sampling parameters');
  try {
    resolveSampling(value as ResolvedSampling, {}, vocabularySize);
  } catch (error) {
    if (!(error instanceof ShoalError)) throw error;
    throw new FrameError(`sampling parameters that cannot be: ${error.message}`);
  }
}

/** For each output of a step, who draws from it: nobody draws twice. */
export function checkDraws(draws: readonly unknown[], bounds: MessageBounds): void {
  const seen = new Set<unknown>();
  for (const slots of draws) {
    if (!Array.isArray(slots)) throw new FrameError('an output that nobody draws from');
    for (const slot of slots) {
      checkSlot(slot, bounds);
      if (seen.has(slot)) throw new FrameError(`sequence ${slot} drawing twice`);
      seen.add(slot);
    }
  }
}

/** @param count that must have been drawn */
export function readDrawn(value: unknown, count: number, bounds: MessageBounds): Drawn[] {
  if (!Array.isArray(value) || value.length !== count) {
    throw new FrameError(
      `${Array.isArray(value) ? value.length : 'no'} tokens, where ${count} were to be drawn`,
    );
  }
  return value.map((drawn: unknown): Drawn => {
    const { kind, token, chance, fault } =
      fieldsOf<Record<'kind' | 'token' | 'chance' | 'fault', unknown>>(drawn);
    if (kind === 'failed') return { kind, fault: readFault(fault) };
    const isSound = kind === 'token' && isIndex(token, bounds.vocabularySize) && isChance(chance, bounds);
    if (!isSound) throw new FrameError('a token that is none of the model');
    return drawn as Drawn;
  });
}

function isChance(value: unknown, { vocabularySize }: MessageBounds): boolean {
  if (value === null) return true;
  const isOne = (one: unknown) => {
    const { token, logprob } = fieldsOf<{ token: unknown; logprob: unknown }>(one);
    return isIndex(token, vocabularySize) && typeof logprob === 'number';
  };
  const { top } = fieldsOf<{ top: unknown }>(value);
  return isOne(value) && Array.isArray(top) && top.length <= LIMITS.topLogprobs && top.every(isOne);
}

/** Why another rank could not compute or draw; of its own words nothing else is taken. */
export function readFault(value: unknown): Fault {
  if (!isFault(value)) throw new FrameError('a failure without a reason');
  return { code: value.code, message: value.message.slice(0, LIMITS.faultMessageCharacters) };
}

function isIndex(value: unknown, end: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) < end;
}

function fieldsOf<Value>(value: unknown): Fields<Value> {
  return (typeof value === 'object' && value !== null ? value : {}) as Fields<Value>;
}
