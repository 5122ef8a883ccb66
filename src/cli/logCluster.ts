/** What happens in the cluster, as log lines and counts. */
import type { Logger } from 'pino';
import type { ClusterNode } from '../cluster/clusterNode.js';
import type { ControlEvent } from '../control/events.js';
import type { NodeId } from '../shared/ids.js';
import type { Metrics } from '../telemetry/metrics.js';

export function logCluster(cluster: ClusterNode, nodeId: NodeId, log: Logger, metrics: Metrics): void {
  cluster.listen({
    applied: ({ event }, { runners }) => {
      logEvent(event, log);
      if (event.kind !== 'RunnerStatusChanged') return;
      const { runnerId, status, restarts } = event.runner;
      const isOwn = runners.get(runnerId)?.nodeId === nodeId;
      if (isOwn && status === 'spawned' && restarts > 0) metrics.runnerRestarted();
    },
    roleChanged: (role, epoch, why) =>
      log.info({ role, term: epoch?.term, master: epoch?.nodeId, why }, 'role'),
    peerJudged: (peerId, status) => {
      log[status === 'alive' ? 'info' : 'warn']({ node_id: peerId, status }, 'node judged');
    },
    misunderstood: (peerId, problem) => {
      log.warn({ node_id: peerId, problem }, 'a message of a node is not as it should be');
    },
    tooLong: (peerId, problem) => {
      log.error({ node_id: peerId, problem }, 'a message for a node is too long to be sent');
    },
  });
}

function logEvent(event: ControlEvent, log: Logger): void {
  if (event.kind === 'RunnerStatusChanged') {
    const { runnerId, status, pid, restarts } = event.runner;
    log.info({ runner_id: runnerId, status, pid, restarts }, 'runner status');
  } else if (event.kind === 'InstanceCreated') {
    const { instanceId, modelId, contextLength, maxSequences, cacheCells } = event.instance;
    const size = { context_length: contextLength, max_sequences: maxSequences, cache_cells: cacheCells };
    log.info({ instance_id: instanceId, model_id: modelId, ...size }, 'instance created');
  } else if (event.kind === 'InstanceDeleted') {
    log.info({ instance_id: event.instanceId }, 'instance deleted');
  }
}
