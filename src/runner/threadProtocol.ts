/** What the two threads of the runner say to each other. */
import type { MessagePort } from 'node:worker_threads';
import type { BridgeMemory } from '../collective/bridge/layout.js';
import type { Fault } from '../shared/errors.js';
import type { GenerationRequest } from '../shared/generation.js';
import type { LoadedModel, RunnerSettings } from '../shared/runnerProtocol.js';
import type { HeldPhase } from './failpoints.js';
import type { RequestEvent } from './generation/modelServer.js';

/** What the compute thread starts with. */
export interface ComputeThreadData {
  readonly settings: RunnerSettings;
  readonly port: MessagePort;
  readonly status: SharedArrayBuffer;
  /** A failpoint: where the thread shall stay. */
  readonly held: HeldPhase | null;
}

export type ToCompute =
  | {
      readonly kind: 'generate';
      readonly request: number;
      readonly generation: GenerationRequest;
      /** `monotonicMs` at receipt. */
      readonly receivedAtMs: number;
    }
  | { readonly kind: 'cancel'; readonly request: number }
  /** Failpoints. */
  | { readonly kind: 'stand_still' }
  | { readonly kind: 'slow_down'; readonly ms: number };

export type FromCompute =
  /** Through it the compute thread speaks with the other ranks. */
  | { readonly kind: 'bridge'; readonly memory: BridgeMemory }
  | { readonly kind: 'loading'; readonly progress: number }
  | { readonly kind: 'warming_up'; readonly abortFlag: SharedArrayBuffer | null }
  | { readonly kind: 'ready'; readonly model: LoadedModel }
  | { readonly kind: 'events'; readonly events: readonly RequestEvent[] }
  | { readonly kind: 'fatal'; readonly fault: Fault };

/** Milliseconds of a clock that never goes back and is the same in all threads. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}
