/** Gauges of a node's place in its cluster. */
export interface ClusterFigures {
  /** Of the reign that the node follows or holds; 0 before the first. */
  readonly term: number;
  readonly isMaster: boolean;
  /** Is the state that of a living master? */
  readonly isUpToDate: boolean;
  /** Events that made the state. */
  readonly index: number;
  readonly nodes: Readonly<Record<'alive' | 'suspect' | 'dead', number>>;
  readonly links: number;
  readonly instances: number;
  readonly runningTasks: number;
  /** Requests of this node's clients that wait for a place. */
  readonly waitingRequests: number;
  /** Generations of this node's clients on other nodes, and of other nodes' clients here. */
  readonly generationsAway: number;
  readonly generationsHere: number;
}

export type AddGauge = (name: string, help: string, measure: () => number) => void;

export function addClusterGauges(gauge: AddGauge, read: () => ClusterFigures): void {
  gauge('shoal_cluster_term', 'Term of the reign that the node follows.', () => read().term);
  gauge('shoal_cluster_is_master', '1 on the node that rules.', () => Number(read().isMaster));
  gauge('shoal_cluster_is_up_to_date', '1 with the state of a living master.', () =>
    Number(read().isUpToDate),
  );
  gauge('shoal_control_index', 'Control events that made the state.', () => read().index);
  for (const status of ['alive', 'suspect', 'dead'] as const) {
    gauge(
      `shoal_cluster_nodes_${status}`,
      `Nodes of the cluster that are ${status}.`,
      () => read().nodes[status],
    );
  }
  gauge('shoal_links', 'Open links to other nodes.', () => read().links);
  gauge('shoal_instances', 'Instances in the state.', () => read().instances);
  gauge('shoal_running_tasks', 'Requests that run anywhere in the cluster.', () => read().runningTasks);
  gauge(
    'shoal_waiting_requests',
    'Requests of clients of this node that have no instance yet, or have lost theirs.',
    () => read().waitingRequests,
  );
  gauge(
    'shoal_generations_away',
    'Generations for clients of this node on others.',
    () => read().generationsAway,
  );
  gauge(
    'shoal_generations_here',
    'Generations for clients of others on this node.',
    () => read().generationsHere,
  );
}
