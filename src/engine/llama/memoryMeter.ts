/** How much memory native code takes while something is created. */
import { readFileSync } from 'node:fs';
import type { Native } from './binding/native.js';

const BYTES_PER_KIBIBYTE = 1024;

/**
 * Runs `create` and measures by how much the private memory of this process (on Linux what is reserved, so that
 * buffers count which are not touched yet; elsewhere what is resident) and the used memory of GPUs have grown.
 */
export function measureGrowth<Result>(
  native: Native,
  create: () => Result,
): { readonly result: Result; readonly bytes: number } {
  const before = privateBytes() + gpuBytes(native);
  const result = create();
  return { result, bytes: Math.max(0, privateBytes() + gpuBytes(native) - before) };
}

function privateBytes(): number {
  if (process.platform !== 'linux') return process.memoryUsage.rss();
  const data = /^VmData:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  return data === undefined ? process.memoryUsage.rss() : Number(data) * BYTES_PER_KIBIBYTE;
}

function gpuBytes(native: Native): number {
  let used = 0;
  for (const device of native.devices) {
    if (!device.isGpu) continue;
    const free: [number] = [0];
    const total: [number] = [0];
    native.device.memory(device.address, free, total);
    used += total[0] - free[0];
  }
  return used;
}
