/** States as `/state` shows them, made up: of clusters that no test could start, or that are in trouble. */
const GIB = 2 ** 30;

export const node = (id: string, name: string, more: object = {}) => ({
  node_id: id,
  name,
  status: 'alive',
  incarnation: 1,
  addresses: [],
  memory: { total_bytes: 64 * GIB, available_bytes: 20 * GIB },
  cpu: { cores: 8, load_average: 2 },
  backends: ['cpu'],
  ...more,
});

const shard = (instanceId: string, rank: number, of: number, nodeId: string) => ({
  rank,
  world_size: of,
  node_id: nodeId,
  runner_id: `${instanceId}-r${rank}`,
  start_layer: rank * 8,
  end_layer: rank * 8 + 8,
  memory_bytes: GIB,
});

/** @param nodes of its shards, by rank */
export const instance = (
  id: string,
  model: string,
  nodes: readonly string[],
  metaInstanceId: string | null = null,
) => ({
  instance_id: id,
  meta_instance_id: metaInstanceId,
  model_id: model,
  sharding: 'Pipeline',
  transport: 'Ring',
  attempt: 1,
  status: 'ready',
  shards: nodes.map((nodeId, rank) => shard(id, rank, nodes.length, nodeId)),
});

export const runner = (id: string, nodeId: string, more: object = {}) => ({
  runner_id: id,
  instance_id: id.replace(/-r\d+$/, ''),
  node_id: nodeId,
  rank: 0,
  pid: 1,
  incarnation: 1,
  sequence: 1,
  status: 'ready',
  restarts: 0,
  restart_at: null,
  ...more,
});

export const wish = (id: string, model: string, more: object = {}) => ({
  meta_instance_id: id,
  model_id: model,
  sharding: 'Pipeline',
  transport: 'Ring',
  min_nodes: 1,
  node_ids: null,
  status: 'ready',
  consecutive_failures: 0,
  errors: [],
  placement_error: null,
  next_attempt_at: null,
  ...more,
});

/** A cluster in which all nodes are linked with all, and each model has two shards. */
export function largeState(nodeCount: number, instanceCount: number, wishCount = 0) {
  const names = Array.from({ length: nodeCount }, (_, number) => `n${number}`);
  const instances = Array.from({ length: instanceCount }, (_, number) =>
    instance(
      `i${number}`,
      `model-${number}`,
      [names[number % nodeCount], names[(number + 7) % nodeCount]] as string[],
      number < wishCount ? `m${number}` : null,
    ),
  );
  const runners = instances.flatMap(({ shards }) =>
    shards.map((one) => runner(one.runner_id, one.node_id, { rank: one.rank })),
  );
  const link = (from: string, to: string) => ({ from, to, rtt_us: 100 }) as const;
  const unknown = { interface_kind: null, bandwidth_bytes_per_s: null, rdma: false };
  return {
    index: 7,
    term: 1,
    node_id: 'n0',
    master_node_id: 'n0',
    nodes: Object.fromEntries(names.map((name) => [name, node(name, name)])),
    links: names.flatMap((from) =>
      names.filter((to) => to !== from).map((to) => ({ ...link(from, to), ...unknown })),
    ),
    instances: Object.fromEntries(instances.map((one) => [one.instance_id, one])),
    runners: Object.fromEntries(runners.map((one) => [one.runner_id, one])),
    meta_instances: Object.fromEntries(
      Array.from({ length: wishCount }, (_, number) => [`m${number}`, wish(`m${number}`, `model-${number}`)]),
    ),
    tasks: {},
  };
}
