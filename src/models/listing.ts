/** A model as users see it in lists. */
import type { ModelId } from '../shared/ids.js';

export interface MemoryEstimate {
  readonly weightsBytes: number;
  readonly cacheBytes: number;
  /** Compute buffers and the process itself. */
  readonly overheadBytes: number;
  readonly totalBytes: number;
}

export interface ModelListing {
  readonly modelId: ModelId;
  readonly path: string;
  readonly embedded: boolean;
  readonly fileBytes: number;
  readonly architecture: string | null;
  readonly quantisation: string | null;
  readonly parameters: number | null;
  readonly layers: number | null;
  readonly contextTokens: number | null;
  /** With the default context and sequences. */
  readonly memory: MemoryEstimate | null;
  readonly license: string | null;
  /** Null when it can run here, else why not, for people. */
  readonly refusal: string | null;
  /** Seconds since the epoch: the file's modification time. */
  readonly created: number;
}

/** A model of which only this is known: its file is not here, or cannot be looked at. */
export function bareListing(known: Pick<ModelListing, 'modelId' | 'path' | 'refusal'>): ModelListing {
  return {
    embedded: false,
    fileBytes: 0,
    architecture: null,
    quantisation: null,
    parameters: null,
    layers: null,
    contextTokens: null,
    memory: null,
    license: null,
    created: 0,
    ...known,
  };
}
