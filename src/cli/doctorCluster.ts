/** The checks of `shoal doctor` for being one of a cluster: clock, token, ports, and whether multicast goes round. */
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { statSync } from 'node:fs';
import { createServer, type ListenOptions } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isLoopback } from '../api/http/access.js';
import { readClusterToken } from '../cluster/clusterKey.js';
import { announcedAddresses } from '../cluster/discovery/interfaces.js';
import { MulticastDiscovery } from '../cluster/discovery/multicastDiscovery.js';
import { KEY_BYTES } from '../cluster/joinToken.js';
import { parseAddress } from '../cluster/link/addresses.js';
import { DEFAULT_PEER_PORT } from '../cluster/link/tlsPeerLinks.js';
import { NodeKey } from '../cluster/nodeKey.js';
import { TIMES } from '../shared/limits.js';
import type { Finding } from './finding.js';

const API_LIMIT_MS = 2_000;
const MULTICAST_LIMIT_MS = 3_000;
const LOOPBACK = '127.0.0.1';
const HTTP_PORT = 80;

/** A clock that stands before what this machine has already written is wrong; other nodes would refuse its words. */
export function checkClock(home: string, now = Date.now()): Finding {
  const written = [fileURLToPath(import.meta.url), join(home, 'node.json'), join(home, 'cluster.json')]
    .map((path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0)
    .reduce((latest, time) => Math.max(latest, time), 0);
  const ok = now >= written - TIMES.clockSkewMs;
  const reading = new Date(now).toISOString();
  return {
    check: 'clock is not behind',
    ok,
    found: ok
      ? reading
      : `${reading}, but files here are of ${new Date(written).toISOString()}: set the clock, best by network time`,
  };
}

export function checkToken(home: string): Finding {
  const check = 'join token';
  try {
    const isThere = readClusterToken(home) !== null;
    const found = isThere ? 'this home belongs to a cluster' : 'none yet: the first start makes one';
    return { check, ok: true, found };
  } catch (error) {
    return { check, ok: false, found: (error as Error).message };
  }
}

/** A node that answers, or, at an address of this machine, a port that one could have. */
export async function checkApi(url: string): Promise<Finding> {
  const check = `API at ${url}`;
  const address = readUrl(url);
  if (address === null) return { check, ok: false, found: 'that is no address of a node' };
  if (await answersAsNode(url)) return { check, ok: true, found: 'a node answers' };
  if (!isLoopback(address.hostname)) {
    return {
      check,
      ok: false,
      found: 'no node answers there; is it up, and does --api-host let others reach it?',
    };
  }
  const problem = await whyNotListen({ port: Number(address.port || HTTP_PORT), host: LOOPBACK });
  return problem === null
    ? { check, ok: true, found: 'no node yet, and the port is free' }
    : { check, ok: false, found: `${problem}; choose another with --api-port` };
}

function readUrl(text: string): URL | null {
  return /^https?:/.test(text) && URL.canParse(text) ? new URL(text) : null;
}

/** A port that is taken is no problem by itself: a node takes any free one then, unless it was told which. */
export async function checkPeerPort(port = DEFAULT_PEER_PORT): Promise<Finding> {
  const check = `port ${port} for other nodes`;
  const problem = await whyNotListen({ port });
  if (problem === null) {
    return { check, ok: true, found: 'free; a firewall must let other machines reach it' };
  }
  const isTaken = problem === TAKEN;
  const found = isTaken
    ? 'taken, by a node that runs here or another program; a further node takes any free port'
    : `${problem}; choose another with --peer-port`;
  return { check, ok: isTaken, found };
}

const TAKEN = 'it is taken';

function whyNotListen(options: ListenOptions): Promise<string | null> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) =>
      resolve(error.code === 'EADDRINUSE' ? TAKEN : error.message),
    );
    server.listen({ ...options, exclusive: true }, () => server.close(() => resolve(null)));
  });
}

async function answersAsNode(url: string): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(API_LIMIT_MS);
    const response = await fetch(new URL('/health', url), { signal });
    return typeof ((await response.json()) as { node_id?: unknown }).node_id === 'string';
  } catch {
    return false;
  }
}

/**
 * Has two nodes of a cluster of their own find each other through this machine's interfaces. Whether the network
 * between machines passes multicast on only shows with a second machine.
 */
export async function checkMulticast(): Promise<Finding> {
  const check = 'nodes find each other by multicast';
  const addresses = announcedAddresses().filter(({ address }) => !address.startsWith('127.'));
  if (addresses.length === 0) {
    return { check, ok: true, found: 'this machine has no network; nodes on it find each other' };
  }
  const found = await discoverItself();
  const silent = addresses.filter(({ address }) => !found.has(address));
  const working = interfacesOf(addresses.filter(({ address }) => found.has(address)));
  if (working === '') {
    return {
      check,
      ok: false,
      found: `not on ${interfacesOf(silent)}: a firewall may drop UDP; name nodes with --peer HOST:PORT instead`,
    };
  }
  return { check, ok: true, found: `on ${working}; a switch or access point may still block it` };
}

/** The addresses of this machine from which an announcement came back within the time. */
async function discoverItself(): Promise<ReadonlySet<string>> {
  const clusterKey = randomBytes(KEY_BYTES);
  const groupPort = await freeUdpPort();
  const make = () =>
    new MulticastDiscovery(
      { nodeId: NodeKey.make().nodeId, clusterKey, onNotice: () => undefined },
      { linkPort: DEFAULT_PEER_PORT, groupPort },
    );
  const [witness, other] = [make(), make()];
  const wanted = announcedAddresses().length;
  const heard = new Set<string>();
  try {
    await new Promise<void>((resolve, reject) => {
      const limit = setTimeout(resolve, MULTICAST_LIMIT_MS);
      const onFound = (address: string) => {
        heard.add(parseHost(address));
        if (heard.size < wanted) return;
        clearTimeout(limit);
        resolve();
      };
      Promise.all([witness.start(onFound), other.start(() => undefined)]).catch(reject);
    });
  } finally {
    await Promise.all([witness.close(), other.close()]);
  }
  return heard;
}

function parseHost(address: string): string {
  return parseAddress(address).host;
}

async function freeUdpPort(): Promise<number> {
  const socket = createSocket('udp4');
  socket.bind(0);
  await once(socket, 'listening');
  const { port } = socket.address();
  socket.close();
  return port;
}

function interfacesOf(addresses: readonly { readonly interfaceName: string }[]): string {
  return [...new Set(addresses.map(({ interfaceName }) => interfaceName))].join(', ');
}
