/** What the last hour is made of. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ClusterListener } from '../cluster/clusterNode.js';
import type { Register } from '../cluster/registerForm.js';
import { apply } from '../control/apply.js';
import type { ControlEvent } from '../control/events.js';
import { EMPTY_STATE } from '../control/state.js';
import {
  instanceCreated,
  instanceDeleted,
  NODE,
  nodeJoined,
  OTHER_NODE,
  runnerStatusChanged,
  taskAssigned,
  taskFinished,
} from '../control/testing.js';
import { LastHour } from '../telemetry/lastHour.js';
import { readHour, watchHour } from './watchHour.js';

const GIB = 2 ** 30;
const register = (runners: Register['runners'], generatedTokens = 0): Register => ({
  memory: { totalBytes: 8 * GIB, availableBytes: 6 * GIB },
  cpu: { cores: 2, loadAverage: 0 },
  apiUrl: '',
  generatedTokens,
  speed: null,
  links: [],
  runners,
});

/** A node that applies what it is told. */
function startCluster() {
  const listeners: ClusterListener[] = [];
  const cluster = {
    state: EMPTY_STATE,
    listen: (listener: ClusterListener) => {
      listeners.push(listener);
      return () => undefined;
    },
  };
  const happen = (...events: ControlEvent[]) => {
    for (const event of events) {
      cluster.state = apply(cluster.state, event);
      const applied = { index: cluster.state.index, event };
      for (const listener of listeners) listener.applied?.(applied, cluster.state);
    }
  };
  return { cluster, happen };
}

test('R74: requests count once by how they ended, whatever ended them; those before the start do not', () => {
  const { cluster, happen } = startCluster();
  happen(nodeJoined(), nodeJoined(OTHER_NODE), instanceCreated('i'), instanceCreated('k'));
  happen(taskAssigned('before', 'i'), taskFinished('before', 'i'));
  const registers = { of: () => null };
  const sources = { nodeId: NODE, cluster, registers, readRegister: () => register({}) };
  const hour = new LastHour({ read: () => readHour(sources), now: () => 0 });
  hour.sample();
  watchHour(cluster, hour);
  happen(
    taskAssigned('a', 'i'),
    taskAssigned('b', 'i'),
    taskAssigned('c', 'k', OTHER_NODE),
    taskAssigned('d', 'k'),
  );
  happen(taskFinished('a', 'i'), taskFinished('a', 'i'));
  happen({ kind: 'NodeStatusChanged', nodeId: OTHER_NODE, status: 'dead', at: 0 });
  happen(runnerStatusChanged('i', 'failed'), runnerStatusChanged('i', 'spawned', 2));
  happen(instanceDeleted('k'));
  const { completed, failed, cancelled, runnerFailures, running } = hour.samples.at(-1) ?? assert.fail();
  assert.deepEqual([completed, failed, cancelled, runnerFailures, running], [1, 1, 1, 1, 1]);
});

test('what all nodes tell of themselves is one sum; what another version tells does not break it', () => {
  const { cluster, happen } = startCluster();
  happen(nodeJoined(), nodeJoined(OTHER_NODE));
  const other = register({ r2: { load: { queuedRequests: 3 } }, r3: { load: 'x' } });
  const reading = readHour({
    nodeId: NODE,
    cluster,
    registers: { of: (id) => (id === OTHER_NODE ? { register: other, at: 0 } : null) },
    readRegister: () => register({ r1: { load: { queuedRequests: 1 } } }, 5),
  });
  assert.deepEqual(reading, {
    queued: 4,
    running: 0,
    memoryUsedBytes: 4 * GIB,
    memoryTotalBytes: 16 * GIB,
    tokensByNode: new Map([
      [NODE, 5],
      [OTHER_NODE, 0],
    ]),
  });
});
