/** `shoal up`: starts a node, tells people where it is and how loading goes, and ends it in order. */
import { announce, announceAsJson } from './announce.js';
import { startNode } from './node.js';
import type { UpOptions } from './upOptions.js';

/** The whole stop is bounded by its parts; this is the guard against a bug in one of them. */
const STOP_LIMIT_MS = 20_000;

export async function up(options: UpOptions): Promise<void> {
  let isUp = false;
  const signalled = new Promise<void>((resolve) => {
    let signals = 0;
    const onSignal = () => {
      // Of a node that only starts, nothing has to be ended in order.
      if (!isUp) process.exit(0);
      signals += 1;
      // A second signal means now; the runners end by themselves when their channel closes.
      if (signals > 1) process.exit(1);
      resolve();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
  const node = await startNode(options);
  isUp = true;
  const stopShowing = options.logJson ? announceAsJson(node) : announce(node, options);
  await signalled;
  stopShowing();
  if (!options.logJson)
    process.stderr.write('\nStopping; running requests may end. Press Ctrl-C again to stop now.\n');
  setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
  await node.stop();
  process.exit(0);
}
