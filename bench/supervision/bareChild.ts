/**
 * A process that does nothing, to compare with: it holds as many bytes of memory as it is told, and watches its event
 * loop as a node does. For each line on its standard input it prints the longest delay so far, in milliseconds, and those bytes.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

const RESOLUTION_MS = 10;
const PAGE_BYTES = 4096;
const held = Buffer.allocUnsafe(Number(process.argv[2] ?? 0));
for (let at = 0; at < held.length; at += PAGE_BYTES) held[at] = 1;

const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
delay.enable();
// Its memory stands in the answer too, so that nothing takes it for unused.
process.stdin.on('data', () => process.stdout.write(`${delay.max / 1e6} ${held.length}\n`));
process.stdout.write('ready\n');
