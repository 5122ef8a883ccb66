/**
 * Addresses at which nodes were met, kept in the home: where multicast is blocked, or a name service is away, a node
 * comes back to those it knew. The newest are kept; what cannot be written is written with the next change.
 */
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { Notices, type OnNotice } from '../link/notices.js';
import type { StoreFiles } from '../store/storeFiles.js';
import type { Discovery, OnFound } from './contract.js';

export interface RememberedPeersComponents {
  /** The folder in which they are kept. */
  readonly files: StoreFiles;
  readonly onNotice: OnNotice;
}

export interface RememberedPeersOptions {
  /** @default TIMES.knownPeersMs */
  readonly intervalMs?: number;
}

const FILE = 'peers.json';
const DRAFT = 'peers.json.draft';

export class RememberedPeers implements Discovery {
  readonly #files: StoreFiles;
  readonly #notices: Notices;
  readonly #intervalMs: number;
  /** Newest last, for nodes and for the addresses of each. */
  readonly #peers = new Map<NodeId, readonly string[]>();
  #onFound: OnFound | null = null;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;
  #isLoaded = false;
  #isChanged = false;
  #writing: Promise<void> | null = null;

  constructor({ files, onNotice }: RememberedPeersComponents, options: RememberedPeersOptions = {}) {
    this.#files = files;
    this.#notices = new Notices(onNotice);
    this.#intervalMs = options.intervalMs ?? TIMES.knownPeersMs;
  }

  /** The nodes, the one met last first, and their addresses in the same order. */
  get peers(): ReadonlyMap<NodeId, readonly string[]> {
    return new Map(
      [...this.#peers].reverse().map(([nodeId, addresses]) => [nodeId, [...addresses].reverse()]),
    );
  }

  async start(onFound: OnFound): Promise<void> {
    if (this.#isClosed || this.#onFound !== null) return;
    this.#onFound = onFound;
    await this.#load();
    this.#isLoaded = true;
    if (this.#isClosed) return;
    this.#timer = setInterval(() => this.#turn(), this.#intervalMs);
    this.#turn();
  }

  /** A link to the node opened at this address. */
  remember(nodeId: NodeId, address: string): void {
    const known = this.#peers.get(nodeId) ?? [];
    const isNewest = [...this.#peers.keys()].at(-1) === nodeId && known.at(-1) === address;
    if (isNewest) return;
    this.#peers.delete(nodeId);
    const addresses = [...known.filter((other) => other !== address), address];
    this.#peers.set(nodeId, addresses.slice(-LIMITS.rememberedAddressesPerNode));
    if (this.#peers.size > LIMITS.rememberedNodes) {
      const [oldest] = this.#peers.keys();
      if (oldest !== undefined) this.#peers.delete(oldest);
    }
    this.#changed();
  }

  /** The node is gone for good. */
  forget(nodeId: NodeId): void {
    if (this.#peers.delete(nodeId)) this.#changed();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    await this.#writing;
  }

  #turn(): void {
    if (this.#isChanged) this.#changed();
    for (const [nodeId, addresses] of this.peers) {
      for (const address of addresses) if (!this.#isClosed) this.#onFound?.(address, nodeId);
    }
  }

  #changed(): void {
    this.#isChanged = true;
    // Before the file was read, a write would lose what is in it.
    if (this.#isLoaded) this.#writing ??= this.#write();
  }

  /** Never rejects. What changes during a write is written after it. */
  async #write(): Promise<void> {
    try {
      // A node that meets many at once writes once.
      await Promise.resolve();
      while (this.#isChanged) {
        this.#isChanged = false;
        await this.#writeOnce();
      }
    } catch (error) {
      this.#isChanged = true;
      const reason = (error as Error).message;
      const message = `The addresses of other nodes could not be kept: ${reason}. It is tried again.`;
      this.#notices.sayOnce('write', 'warn', message, { code: 'storage_failed', error: reason });
    }
    this.#writing = null;
  }

  async #writeOnce(): Promise<void> {
    const peers = [...this.#peers].map(([nodeId, addresses]) => ({ node_id: nodeId, addresses }));
    const bytes = Buffer.from(`${JSON.stringify({ peers }, null, 2)}\n`);
    const draft = await this.#files.open(DRAFT);
    try {
      await draft.truncate(0);
      await draft.write(bytes, 0);
      await draft.sync();
    } finally {
      await draft.close();
    }
    await this.#files.rename(DRAFT, FILE);
    await this.#files.syncFolder();
  }

  async #load(): Promise<void> {
    let text: string;
    try {
      text = (await this.#files.read(FILE)).toString();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      this.#damaged((error as Error).message);
      return;
    }
    const kept = parsePeers(text);
    if (kept === null) {
      this.#damaged('it is damaged');
      return;
    }
    // Those that were met while the file was read are newer.
    const met = [...this.#peers];
    this.#peers.clear();
    for (const [nodeId, addresses] of [...kept, ...met].slice(-LIMITS.rememberedNodes)) {
      this.#peers.delete(nodeId);
      this.#peers.set(nodeId, addresses);
    }
  }

  #damaged(reason: string): void {
    const message = `The addresses of other nodes (${FILE}) cannot be read: ${reason}. They are collected anew.`;
    this.#notices.say('warn', message, { code: 'storage_failed', error: reason });
  }
}

function parsePeers(text: string): [NodeId, readonly string[]][] | null {
  try {
    const { peers } = JSON.parse(text) as { peers: { node_id: unknown; addresses: unknown }[] };
    return peers.map(({ node_id: nodeId, addresses }) => {
      if (typeof nodeId !== 'string' || !Array.isArray(addresses)) throw new TypeError('not a peer');
      const texts = addresses.filter((address): address is string => typeof address === 'string');
      return [nodeId as NodeId, texts.slice(-LIMITS.rememberedAddressesPerNode)];
    });
  } catch {
    return null;
  }
}
