/** `shoal up`: starts a node, tells people where it is and how loading goes, and ends it in order. */
import { MultiBar, Presets } from 'cli-progress';
import { type RunningNode, startNode } from './node.js';
import type { UpOptions } from './upOptions.js';

/** The whole stop is bounded by its parts; this is the guard against a bug in one of them. */
const STOP_LIMIT_MS = 20_000;
const PROGRESS_INTERVAL_MS = 200;

export async function up(options: UpOptions): Promise<void> {
  const node = await startNode(options);
  const stopShowing = options.logJson ? announceAsJson(node) : announce(node, options);
  await new Promise<void>((resolve) => {
    let signals = 0;
    const onSignal = () => {
      signals += 1;
      // A second signal means now; the runners end by themselves when their channel closes.
      if (signals > 1) process.exit(1);
      resolve();
    };
    process.on('SIGINT', onSignal).on('SIGTERM', onSignal);
  });
  stopShowing();
  if (!options.logJson)
    process.stderr.write('\nStopping; running requests may end. Press Ctrl-C again to stop now.\n');
  setTimeout(() => process.exit(1), STOP_LIMIT_MS).unref();
  await node.stop();
  process.exit(0);
}

function announceAsJson(node: RunningNode): () => void {
  const line = { event: 'listening', node_id: node.nodeId, api_url: node.apiUrl, peer_address: node.peerAddress };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  return () => undefined;
}

function announce(node: RunningNode, options: UpOptions): () => void {
  process.stdout.write(
    `Shoal node "${options.name}" is up.\n\n  API        ${node.apiUrl}/v1\n  OpenAPI    ${node.apiUrl}/openapi.json\n\n`,
  );
  const [model] = node.served;
  if (model === undefined) {
    process.stdout.write('No model is served. See what there is with: node bin/shoal.js models list\n');
    return () => undefined;
  }
  return showProgress(node, () => {
    const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'What is Shoal?' }] });
    const key = options.apiKey.length === 0 ? '' : " -H 'Authorization: Bearer YOUR_KEY'";
    process.stdout.write(
      `${node.served.join(', ')} ready. Try it in another terminal:\n\n` +
        `  curl ${node.apiUrl}/v1/chat/completions${key} -H 'Content-Type: application/json' \\\n    -d '${body}'\n\n` +
        `  node bin/shoal.js chat ${model}\n\nCtrl-C stops the node.\n`,
    );
  });
}

/** Shows a bar for each model while it loads, where the output is a terminal; calls back when all are ready. */
function showProgress(node: RunningNode, onReady: () => void): () => void {
  const bars = new MultiBar(
    { format: '  {model} {bar} {percentage} % {phase}', hideCursor: true, linewrap: false },
    Presets.shades_classic,
  );
  const shown = new Map(
    node.served.map((model) => [model, bars.create(100, 0, { model, phase: 'starting' })]),
  );
  const stop = () => {
    clearInterval(timer);
    bars.stop();
  };
  const timer = setInterval(() => {
    const progress = node.progress();
    for (const { modelId, fraction, phase } of progress) {
      shown.get(modelId)?.update(Math.round(fraction * 100), { model: modelId, phase });
    }
    if (!progress.every(({ phase }) => phase === 'ready')) return;
    stop();
    onReady();
  }, PROGRESS_INTERVAL_MS);
  return stop;
}
