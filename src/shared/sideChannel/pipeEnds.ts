/**
 * The ends of a side channel's pipes. Opening a named pipe to read waits for its writer in a thread that
 * nothing can interrupt, not even the end of the process; so it is opened for both directions, without waiting, and
 * polled like a socket. Opening it to write without waiting fails until there is a reader, which is tried again.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { ShoalError } from '../errors.js';

const OPEN_AGAIN_MS = 10;
const { O_NONBLOCK, O_RDWR, O_WRONLY } = constants;

/** @throws {ShoalError} `not_ready` when there is no such pipe */
export function openReadEnd(path: string): Socket {
  return new Socket({ fd: openPipe(path, O_RDWR), readable: true, writable: false });
}

/** @throws {ShoalError} `not_ready` when there is no such pipe, `deadline_exceeded` when nobody reads from it in time */
export async function openWriteEnd(path: string, limitMs: number, signal: AbortSignal): Promise<Socket> {
  const endsAt = performance.now() + limitMs;
  for (;;) {
    if (signal.aborted) throw new ShoalError('cancelled', 'the side channel was closed');
    const fd = tryOpen(path);
    if (fd !== null) return new Socket({ fd, readable: false, writable: true });
    if (performance.now() >= endsAt) {
      throw new ShoalError(
        'deadline_exceeded',
        `nobody has opened the side channel ${path} within ${limitMs} ms`,
      );
    }
    await pause(OPEN_AGAIN_MS, undefined, { signal }).catch(ignoreAbort);
  }
}

/** The loop looks at the signal itself. */
function ignoreAbort(error: Error): void {
  if (error.name !== 'AbortError') throw error;
}

/** Null while nobody reads. */
function tryOpen(path: string): number | null {
  try {
    return openPipe(path, O_WRONLY);
  } catch (error) {
    if (((error as Error).cause as NodeJS.ErrnoException | undefined)?.code === 'ENXIO') return null;
    throw error;
  }
}

function openPipe(path: string, flags: number): number {
  let fd: number;
  try {
    fd = openSync(path, flags | O_NONBLOCK);
  } catch (error) {
    throw new ShoalError(
      'not_ready',
      `the side channel ${path} cannot be opened: ${(error as Error).message}`,
      {
        cause: error,
      },
    );
  }
  if (fstatSync(fd).isFIFO()) return fd;
  closeSync(fd);
  throw new ShoalError('not_ready', `the side channel ${path} is no named pipe`);
}
