/** What a node that has started tells people: its addresses, how others join, how loading goes, and who comes and goes. */
import { MultiBar, Presets } from 'cli-progress';
import { joinLines, nodesLine, tryLines, upLines } from './announcement.js';
import type { RunningNode } from './node.js';
import type { UpOptions } from './upOptions.js';

const PROGRESS_INTERVAL_MS = 200;
const PEERS_INTERVAL_MS = 1_000;

export function announceAsJson(node: RunningNode): () => void {
  const line = {
    event: 'listening',
    node_id: node.nodeId,
    api_url: node.apiUrl,
    peer_address: node.peerAddress || null,
  };
  process.stdout.write(`${JSON.stringify(line)}\n`);
  return () => undefined;
}

/** Returns the function that ends it. */
export function announce(node: RunningNode, options: UpOptions): () => void {
  process.stdout.write(upLines(node, options) + joinLines(node, options));
  let stopTellingPeers: () => void = () => undefined;
  const whenLoaded = (lines: string) => {
    process.stdout.write(lines);
    stopTellingPeers = tellPeers(node, options.name);
  };
  const isServing = node.served.length > 0;
  const stopLoading = isServing
    ? showProgress(node, () => whenLoaded(tryLines(node, options)))
    : () => undefined;
  if (!isServing) whenLoaded(tryLines(node, options));
  return () => {
    stopLoading();
    stopTellingPeers();
  };
}

/** A line whenever the nodes that are linked have changed. */
function tellPeers(node: RunningNode, name: string): () => void {
  let told = '';
  const tell = () => {
    const line = nodesLine(name, node.peers());
    if (line === told || (told === '' && node.peers().length === 0)) return;
    told = line;
    process.stdout.write(line);
  };
  tell();
  const timer = setInterval(tell, PEERS_INTERVAL_MS);
  return () => clearInterval(timer);
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
    // None is created before there is a master.
    const ready = new Set(progress.filter(({ phase }) => phase === 'ready').map(({ modelId }) => modelId));
    if (!node.served.every((model) => ready.has(model))) return;
    stop();
    onReady();
  }, PROGRESS_INTERVAL_MS);
  return stop;
}
