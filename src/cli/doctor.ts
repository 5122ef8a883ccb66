/** `shoal doctor`: looks at what a node needs on this machine, and says what to do about what is missing. */
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatBytes } from '../shared/bytes.js';
import { checkApi, checkClock, checkMulticast, checkPeerPort, checkToken } from './doctorCluster.js';
import type { Finding } from './finding.js';
import { speedText } from './linkText.js';
import { readNodeMemory } from './nodeMemory.js';
import { formatTable, printable } from './output.js';
import { benchmarkHere } from './speedMeter.js';
import { ALL_LAYERS } from './upOptions.js';

const ENGINE_CHECK = fileURLToPath(new URL('../runner/checkEngine.js', import.meta.url));
const ENGINE_CHECK_LIMIT_MS = 30_000;
const SPEED_LIMIT_MS = 30_000;
/** Of its cores: a measurement that had less than this is worth a word. */
const BUSY_SHARE = 0.9;
const LEAST_MEMORY_BYTES = 1024 ** 3;
const LEAST_DISK_BYTES = 1024 ** 3;

export async function doctor(options: {
  readonly json: boolean;
  readonly home: string;
  readonly url: string;
}): Promise<void> {
  const findings = [
    checkNode(),
    await checkEngine(),
    await checkSpeed(),
    checkMemory(),
    checkClock(options.home),
    checkHome(options.home),
    checkToken(options.home),
    await checkApi(options.url),
    await checkPeerPort(),
    await checkMulticast(),
  ];
  if (options.json) {
    process.stdout.write(`${JSON.stringify(findings, null, 2)}\n`);
  } else {
    const rows = findings.map(({ check, ok, found }) => [ok ? 'ok' : 'PROBLEM', check, found]);
    process.stdout.write(`${formatTable(['', 'CHECK', 'FOUND'], rows)}\n`);
  }
  if (findings.some((finding) => !finding.ok)) process.exitCode = 1;
}

function checkNode(): Finding {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const ok = major > 20 || (major === 20 && minor >= 19);
  return { check: 'Node.js 20.19 or newer', ok, found: process.versions.node };
}

/** Loads the engine and runs its self-test in a process of its own, where a crash of native code can do no harm. */
function checkEngine(): Promise<Finding> {
  const check = 'engine loads and computes right';
  return new Promise((resolve) => {
    const child = spawn(process.execPath, [ENGINE_CHECK], { stdio: ['ignore', 'pipe', 'pipe'] });
    const limit = setTimeout(() => child.kill('SIGKILL'), ENGINE_CHECK_LIMIT_MS);
    let output = '';
    let errors = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (errors += chunk));
    child.on('error', (error) => resolve({ check, ok: false, found: error.message }));
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      const ok = code === 0;
      const found = ok
        ? output.trim()
        : `${signal ?? `exit code ${code}`}: ${errors.trim().split('\n').at(-1) ?? ''}`;
      resolve({ check, ok, found: printable(found) });
    });
  });
}

/** As a large model is computed unless `--threads` or `--gpu-layers` say otherwise. */
async function checkSpeed(): Promise<Finding> {
  const check = 'speed for placement';
  const result = await benchmarkHere(
    { threads: null, gpuLayers: ALL_LAYERS },
    AbortSignal.timeout(SPEED_LIMIT_MS),
  );
  if ('problem' in result) return { check, ok: false, found: printable(result.problem) };
  const { memoryBytesPerSecond, operationsPerSecond, processorShare } = result.speed;
  const work = Math.round(operationsPerSecond / 1e9);
  const others = processorShare < BUSY_SHARE ? '; other programs took time from it' : '';
  const found = `reads ${speedText(memoryBytesPerSecond)} of weights, ${work} billion operations/s${others}`;
  return { check, ok: true, found };
}

function checkMemory(): Finding {
  const { totalBytes, availableBytes } = readNodeMemory();
  return {
    check: 'at least 1 GiB of free memory',
    ok: availableBytes >= LEAST_MEMORY_BYTES,
    found: `${formatBytes(availableBytes)} of ${formatBytes(totalBytes)}, ${availableParallelism()} threads`,
  };
}

function checkHome(home: string): Finding {
  const check = `home folder ${home} can be written`;
  let folder = home;
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  try {
    accessSync(folder, constants.W_OK);
    const disk = statfsSync(folder);
    const freeBytes = disk.bavail * disk.bsize;
    const found = `${formatBytes(freeBytes)} free${folder === home ? '' : '; it will be made'}`;
    return { check, ok: freeBytes >= LEAST_DISK_BYTES, found };
  } catch (error) {
    return { check, ok: false, found: (error as Error).message };
  }
}
