/** Starts `servingProcess.ts` and makes it known to the links of this process. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { NodeId } from '../../src/shared/ids.js';
import type { SocketLinks } from './socketLinks.js';

const ENTRY = fileURLToPath(new URL('./servingProcess.js', import.meta.url));

export const CHILD_NODE = 'serving-process' as NodeId;

/** @param tokenMs milliseconds between two tokens of an answer */
export async function startServingChild(links: SocketLinks, tokenMs: number): Promise<ChildProcess> {
  const child = fork(ENTRY, { env: { ...process.env, SHOAL_TOKEN_MS: String(tokenMs) }, execArgv: [] });
  const [port] = (await once(child, 'message', { signal: AbortSignal.timeout(30_000) })) as [number];
  links.know(CHILD_NODE, port);
  return child;
}

export async function stopServingChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}
