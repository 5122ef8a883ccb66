/**
 * One thread pool for all engines of a thread: two pools that spin in one process take each other's cores and
 * collapse the speed of both.
 */
import type { Native } from './binding/native.js';
import { createThreadPool, type ThreadPool } from './binding/threadPool.js';

interface SharedPool {
  readonly pool: ThreadPool;
  users: number;
}

const pools = new Map<string, SharedPool>();

export interface PoolLease {
  readonly address: number;
  /** Gives it back; the last user ends its threads. */
  release(): void;
}

/**
 * @param polling how long idle threads spin before they sleep, 0 to 100
 * @returns null when this machine's CPU backend has no pools; ggml then starts its threads for each graph
 */
export function leaseThreadPool(native: Native, threads: number, polling: number): PoolLease | null {
  const key = `${threads}/${polling}`;
  const shared = pools.get(key) ?? create(native, threads, polling);
  if (shared === null) return null;
  pools.set(key, shared);
  shared.users += 1;
  return {
    address: shared.pool.address,
    release: () => {
      shared.users -= 1;
      if (shared.users > 0) return;
      pools.delete(key);
      shared.pool.free();
    },
  };
}

function create(native: Native, threads: number, polling: number): SharedPool | null {
  const cpu = native.devices.find((device) => !device.isGpu);
  if (cpu === undefined) return null;
  const pool = createThreadPool(native.threadPool, native.device, cpu.address, threads, polling);
  return pool === null ? null : { pool, users: 0 };
}
