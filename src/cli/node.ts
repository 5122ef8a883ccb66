/** The composition root: makes the parts of a node, wires them, and ends them in order. */
import { randomUUID } from 'node:crypto';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { createApiServer } from '../api/server.js';
import { ControlPlane } from '../cluster/controlPlane.js';
import { loadIdentity } from '../cluster/identity.js';
import { Requests } from '../cluster/requests.js';
import { runnersOf } from '../control/instances.js';
import type { InstanceRecord } from '../control/state.js';
import { viewState } from '../control/view.js';
import { ModelCatalogue } from '../models/catalogue.js';
import { ShoalError } from '../shared/errors.js';
import type { InstanceId, ModelId, NodeId, RunnerId } from '../shared/ids.js';
import { TIMES } from '../shared/limits.js';
import { createLog } from '../telemetry/log.js';
import { Metrics } from '../telemetry/metrics.js';
import { fitModel } from '../worker/fitModel.js';
import { Worker } from '../worker/worker.js';
import { readNodeMemory } from './nodeMemory.js';
import type { UpOptions } from './upOptions.js';

const RUNNER_ENTRY = fileURLToPath(new URL('../runner/main.js', import.meta.url));

export interface ModelProgress {
  readonly modelId: ModelId;
  readonly fraction: number;
  readonly phase: string;
}

export interface RunningNode {
  readonly nodeId: NodeId;
  readonly apiUrl: string;
  readonly served: readonly ModelId[];
  /** How far each served model is. */
  progress(): ModelProgress[];
  /** Lets running requests end for a while, then ends runners and API. */
  stop(): Promise<void>;
}
