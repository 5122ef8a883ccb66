/** The words of a node that has started. */
import type { RunningNode } from './node.js';
import { printable } from './output.js';
import { DEFAULT_API_PORT, defaultHome, type UpOptions } from './upOptions.js';

type Announced = Pick<RunningNode, 'apiUrl' | 'peerAddress' | 'served'>;

export function upLines({ apiUrl, peerAddress }: Announced, { name, worker }: UpOptions): string {
  const api =
    apiUrl === null
      ? ''
      : `  Dashboard  ${apiUrl}/\n  API        ${apiUrl}/v1\n  OpenAPI    ${apiUrl}/openapi.json\n`;
  const peers = peerAddress === '' ? '' : `  for nodes  ${peerAddress}\n`;
  const models = worker ? '' : '  It runs no models itself.\n';
  return `Shoal node "${printable(name)}" is up.\n\n${api}${peers}${models}\n`;
}

/** How another machine joins. The token is a secret, and what is printed here may be on a screen or in a log. */
export function joinLines({ peerAddress }: Announced, { home, discovery }: UpOptions): string {
  const ofHome = home === defaultHome() ? '' : ` --home ${quoted(home)}`;
  const address = peerAddress === '' ? 'HOST:PORT' : peerAddress;
  const peer = discovery ? '' : ` --peer ${address}`;
  const elsewhere = discovery ? `From another network, with: --peer ${address}\n` : '';
  return (
    `Another machine joins with the token that \`node bin/shoal.js token${ofHome}\` prints:\n\n` +
    `  node bin/shoal.js join TOKEN${peer}\n\n${elsewhere}\n`
  );
}

/** What can be done now that the models are loaded. */
export function tryLines({ apiUrl, served }: Announced, { apiKey }: UpOptions): string {
  const [model] = served;
  const stop = 'Ctrl-C stops the node.\n';
  if (model === undefined) {
    return `No model is served here. See what there is with: node bin/shoal.js models list\n${stop}`;
  }
  if (apiUrl === null) return `${served.join(', ')} ready.\n${stop}`;
  const body = JSON.stringify({ model, messages: [{ role: 'user', content: 'What is Shoal?' }] });
  const key = apiKey.length === 0 ? '' : " -H 'Authorization: Bearer YOUR_KEY'";
  const target = apiUrl === `http://127.0.0.1:${DEFAULT_API_PORT}` ? '' : ` --url ${apiUrl}`;
  return (
    `${served.join(', ')} ready. Try it in another terminal:\n\n` +
    `  curl ${apiUrl}/v1/chat/completions${key} -H 'Content-Type: application/json' \\\n    -d '${body}'\n\n` +
    `  node bin/shoal.js chat ${model}${target}\n\n${stop}`
  );
}

export function nodesLine(name: string, peers: readonly string[]): string {
  const others = peers.length === 0 ? '; no other is linked now' : `, ${[...peers].sort().join(', ')}`;
  return printable(`Nodes: ${name} (this one)${others}\n`);
}

function quoted(path: string): string {
  return /^[\w./~@:+-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
