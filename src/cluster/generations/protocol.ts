/**
 * What two nodes say to each other about one generation, in frames on a stream of its own. The node with the client
 * opens it, names version and runner in the head, and sends `request`; the node with the runner answers with
 * generation events, `failed` or `finished` last. Whoever opened it may send `cancel` before that; closing the stream
 * early is a cancel as well.
 */
import type { Fault } from '../../shared/errors.js';
import type { GenerationRequest } from '../../shared/generation.js';
import type { RunnerId } from '../../shared/ids.js';

/** Raised with every change of frames, `GenerationRequest` or `GenerationEvent` that an older node would refuse. */
export const GENERATION_PROTOCOL_VERSION = 2;

/** Kind of the streams. */
export const GENERATION_STREAM = 'generation';

export interface GenerationHead {
  readonly version: number;
  readonly runnerId: RunnerId;
}

export type ToServingNode =
  | { readonly kind: 'request'; readonly request: GenerationRequest }
  | { readonly kind: 'cancel'; readonly fault: Fault };
