/**
 * What a node and its runner say to each other, over a duplex pipe of the runner's own (file descriptor 3) in
 * length-prefixed MessagePack frames (`frames.ts`). The runner speaks first (`hello`); a version that the node does
 * not know is a failure of the runner. Requests are numbered by the node; each `generate` is answered by
 * events that end with `finished` or `failed`, also after `cancel`.
 */
import type { Fault } from './errors.js';
import type { Failpoint } from './failpoints.js';
import type { GenerationEvent, GenerationRequest } from './generation.js';
import type { RunnerId } from './ids.js';

export const RUNNER_PROTOCOL_VERSION = 4;

/** File descriptor of the channel in the runner. */
export const RUNNER_CHANNEL_FD = 3;

/** What a runner shall serve, and with how much. */
export interface RunnerSettings {
  readonly runnerId: RunnerId;
  readonly modelPath: string;
  /** Context of one sequence, in tokens. */
  readonly contextTokens: number;
  /** Sequences decoded side by side. */
  readonly sequences: number;
  /** KV cells shared by all sequences; `contextTokens × sequences` at most, fewer when memory is short. */
  readonly cacheCells: number;
  readonly prefillChunkTokens: number;
  readonly threads: number;
  /** Layers on the GPU; 0 = none, a large number = all. Ignored without a GPU backend. */
  readonly gpuLayers: number;
  /** Its part in a model that several runners share; null for one that has the whole model. */
  readonly part: RunnerPart | null;
}

/** One rank of a model over several runners. All ranks of an attempt have the same but for `rank`. */
export interface RunnerPart {
  readonly rank: number;
  readonly worldSize: number;
  readonly sharding: 'Pipeline' | 'Tensor';
  readonly transport: 'Ring' | 'Mesh';
  /** By rank, layers [first, end): of slices, all of them. */
  readonly layers: readonly { readonly first: number; readonly end: number }[];
  /** Names of the ranks' nodes, for messages. */
  readonly names: readonly string[];
  /** 32 bytes that only the ranks of this attempt know. */
  readonly secret: Uint8Array;
}

/** A runner with a part of a model is `connecting` until all ranks are linked. */
type RunnerPhase = 'connecting' | 'loading' | 'warming_up' | 'ready';

/** A sign of life of the compute thread; sent with each heartbeat. */
export interface ComputePulse {
  /** Counts up between steps and while idle. */
  readonly counter: number;
  /** Rows of the step in progress; 0 between steps. */
  readonly stepRows: number;
  /** The most that one row of a step has taken, fading slowly, in milliseconds; 0 before the first step. */
  readonly slowestRowMs: number;
  /**
   * Milliseconds that threads of the process were ready to run and got no core, since its start, summed over all of
   * them; 0 where the system does not say.
   */
  readonly starvedMs: number;
}

/** How the runner stands right now; sent with each heartbeat. */
export interface RunnerLoad {
  readonly runningSequences: number;
  readonly queuedRequests: number;
  readonly usedCells: number;
  readonly totalCells: number;
  readonly prefixCacheCells: number;
  readonly residentBytes: number;
}

/** Facts about the loaded model that the node shows. */
export interface LoadedModel {
  readonly architecture: string;
  /** Names of the devices that compute, such as `CPU` or `CUDA0`. */
  readonly backends: readonly string[];
  readonly contextTokens: number;
  readonly cacheCells: number;
  readonly memoryBytes: number;
}

export type ToRunner =
  | { readonly kind: 'load'; readonly settings: RunnerSettings }
  | { readonly kind: 'generate'; readonly request: number; readonly generation: GenerationRequest }
  | { readonly kind: 'cancel'; readonly request: number }
  /** A fault to cause now; only a node that allows failpoints sends it. */
  | { readonly kind: 'failpoint'; readonly failpoint: Failpoint }
  | { readonly kind: 'shutdown' };

export type FromRunner =
  | { readonly kind: 'hello'; readonly version: number; readonly pid: number }
  | {
      readonly kind: 'phase';
      readonly phase: RunnerPhase;
      readonly progress: number | null;
      readonly model?: LoadedModel;
    }
  | {
      readonly kind: 'heartbeat';
      readonly pulse: ComputePulse;
      /** Messages taken from the channel so far: the acknowledgement of everything that was sent. */
      readonly received: number;
      readonly load: RunnerLoad;
    }
  | { readonly kind: 'event'; readonly request: number; readonly event: GenerationEvent }
  /** The runner cannot go on and will exit; the fault says why. */
  | { readonly kind: 'fatal'; readonly fault: Fault };
