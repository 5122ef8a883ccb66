/**
 * Nodes on one network find each other by announcing themselves to a multicast group: on every interface, IPv4 and
 * IPv6, so that it works without a default route and on a direct cable. The source of a packet is the address of its
 * node on that very link. A newcomer is answered at once, so that it need not wait for everybody's next turn.
 */
import { randomBytes } from 'node:crypto';
import type { NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { Notices, type OnNotice } from '../link/notices.js';
import { type Announcement, AnnouncementSeal, BOOT_BYTES, NOBODY } from './announcement.js';
import { AnnouncementReceiver } from './announcementReceiver.js';
import { AnnouncementSender } from './announcementSender.js';
import { type Discovery, formatAddress, type OnFound } from './contract.js';
import { type AnnouncedAddress, announcedAddresses } from './interfaces.js';
import { RateLimit } from './rateLimit.js';
import { ReplayGuard } from './replayGuard.js';
import { Replies } from './replies.js';

export interface MulticastComponents {
  readonly nodeId: NodeId;
  /** 32 bytes. */
  readonly clusterKey: Buffer;
  readonly onNotice: OnNotice;
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number;
  /** @default those of this machine that are up */
  readonly addresses?: () => readonly AnnouncedAddress[];
}

export interface MulticastOptions {
  /** Where this node's links listen. */
  readonly linkPort: number;
  /** Group of IPv4, of the organisation-local scope. @default '239.255.82.79' */
  readonly groupIpv4?: string;
  /** Group of IPv6, of the link-local scope. @default 'ff12::5348:4f41' */
  readonly groupIpv6?: string;
  /** UDP port of both groups. @default 52417 */
  readonly groupPort?: number;
}

const GROUP_IPV4 = '239.255.82.79';
const GROUP_IPV6 = 'ff12::5348:4f41';
const GROUP_PORT = 52417;
/** The first announcements come close together: one packet, or the joining of the group, may be lost. */
const FIRST_PAUSES_MS = [100, 400];
/** An address that was just given is often refused for a second or two: tried soon, told when it stays so. */
const RETRY_SCAN_MS = 250;
const FAILURES_BEFORE_NOTICE = 12;
const HOUR_MS = 3_600_000;

/** What came in, by what became of it. */
export type DiscoveryCounts = Readonly<Record<DiscoveryCount, number>>;
type DiscoveryCount =
  | 'found'
  | 'own'
  | 'repeated'
  | 'doubtful'
  | 'malformed'
  | 'other_cluster'
  | 'other_version'
  | 'forged'
  | 'over_limit';

export class MulticastDiscovery implements Discovery {
  readonly #nodeId: NodeId;
  readonly #notices: Notices;
  readonly #now: () => number;
  readonly #addresses: () => readonly AnnouncedAddress[];
  readonly #linkPort: number;
  readonly #groups: Readonly<Record<4 | 6, string>>;
  readonly #groupPort: number;
  readonly #seal: AnnouncementSeal;
  readonly #boot = randomBytes(BOOT_BYTES).toString('hex');
  readonly #guard = new ReplayGuard(this.#boot);
  readonly #limit = new RateLimit({
    perSecond: LIMITS.announcementsPerSecond,
    perSourcePerSecond: LIMITS.announcementsPerSourcePerSecond,
  });
  readonly #senders = new Map<string, AnnouncementSender>();
  readonly #failures = new Map<string, number>();
  readonly #receivers: readonly AnnouncementReceiver[];
  readonly #replies = new Replies((kind, to) => this.#announce(kind, to));
  readonly #counts: Record<DiscoveryCount, number> = {
    found: 0,
    own: 0,
    repeated: 0,
    doubtful: 0,
    malformed: 0,
    other_cluster: 0,
    other_version: 0,
    forged: 0,
    over_limit: 0,
  };
  #onFound: OnFound | null = null;
  #sequence = 0;
  #announceTimer: NodeJS.Timeout | null = null;
  #scanTimer: NodeJS.Timeout | null = null;
  #scanning: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(components: MulticastComponents, options: MulticastOptions) {
    this.#nodeId = components.nodeId;
    this.#notices = new Notices(components.onNotice);
    this.#now = components.now ?? Date.now;
    this.#addresses = components.addresses ?? announcedAddresses;
    this.#linkPort = options.linkPort;
    this.#groups = { 4: options.groupIpv4 ?? GROUP_IPV4, 6: options.groupIpv6 ?? GROUP_IPV6 };
    this.#groupPort = options.groupPort ?? GROUP_PORT;
    this.#seal = new AnnouncementSeal(components.clusterKey);
    this.#receivers = ([4, 6] as const).map(
      (family) =>
        new AnnouncementReceiver(
          { family, group: this.#groups[family], port: this.#groupPort },
          (packet, source) => this.#received(packet, source),
          (where, reason) => this.#trouble(where, reason),
        ),
    );
  }

  get counts(): DiscoveryCounts {
    return { ...this.#counts };
  }

  async start(onFound: OnFound): Promise<void> {
    if (this.#isClosed || this.#onFound !== null) return;
    this.#onFound = onFound;
    this.#scan();
    await this.#scanning;
    this.#announceLater([...FIRST_PAUSES_MS]);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const timer of [this.#announceTimer, this.#scanTimer]) if (timer !== null) clearTimeout(timer);
    this.#replies.close();
    await this.#scanning;
    const senders = [...this.#senders.values()];
    this.#senders.clear();
    await Promise.all([...senders, ...this.#receivers].map((socket) => socket.close()));
  }

  #scan(): void {
    this.#scanning = this.#followInterfaces().finally(() => {
      if (this.#isClosed) return;
      const isTrouble = this.#failures.size > 0;
      this.#scanTimer = setTimeout(() => this.#scan(), isTrouble ? RETRY_SCAN_MS : TIMES.interfaceScanMs);
    });
  }

  async #followInterfaces(): Promise<void> {
    const addresses = this.#readAddresses();
    const keys = new Set(addresses.map(({ key }) => key));
    for (const key of this.#failures.keys()) if (!keys.has(key)) this.#failures.delete(key);
    for (const [key, sender] of this.#senders) {
      if (keys.has(key)) continue;
      this.#senders.delete(key);
      await sender.close();
    }
    for (const receiver of this.#receivers) await receiver.listenOn(addresses);
    if (this.#isClosed) return;
    for (const address of addresses) if (!this.#senders.has(address.key)) this.#openSender(address);
  }

  #readAddresses(): readonly AnnouncedAddress[] {
    try {
      return this.#addresses();
    } catch (error) {
      this.#trouble('the list of interfaces', (error as Error).message);
      return [];
    }
  }

  #openSender(from: AnnouncedAddress): void {
    const { key, address, family } = from;
    const sender = new AnnouncementSender(from, this.#groups[family], this.#groupPort, {
      ready: () => {
        this.#failures.delete(key);
        sender.send(this.#sealed('hello', NOBODY));
      },
      failed: (reason) => {
        if (this.#senders.get(key) === sender) this.#senders.delete(key);
        const failures = (this.#failures.get(key) ?? 0) + 1;
        this.#failures.set(key, failures);
        if (failures >= FAILURES_BEFORE_NOTICE) this.#trouble(address, `cannot announce there: ${reason}`);
      },
    });
    this.#senders.set(key, sender);
  }

  #trouble(where: string, reason: string): void {
    const message = `Looking for other nodes: ${where}: ${reason}. It is tried again; --peer does without.`;
    this.#notices.sayOnce(`trouble ${where}`, 'warn', message, { where, error: reason });
  }

  #announceLater(pauses: number[]): void {
    if (this.#isClosed) return;
    const pause = pauses.shift() ?? TIMES.announceMs * (0.75 + Math.random() / 2);
    this.#announceTimer = setTimeout(() => {
      this.#announce('hello', NOBODY);
      this.#announceLater(pauses);
    }, pause);
  }

  #announce(kind: Announcement['kind'], to: string): void {
    for (const sender of [...this.#senders.values()]) sender.send(this.#sealed(kind, to));
  }

  #sealed(kind: Announcement['kind'], to: string): Buffer {
    this.#sequence += 1;
    return this.#seal.seal({
      kind,
      nodeId: this.#nodeId,
      boot: this.#boot,
      to,
      sequence: this.#sequence,
      clockMs: this.#now(),
      port: this.#linkPort,
    });
  }

  #received(packet: Buffer, source: string): void {
    if (this.#isClosed) return;
    if (!this.#limit.take(source, performance.now())) {
      this.#counts.over_limit += 1;
      return;
    }
    const opened = this.#seal.open(packet);
    if (opened.is === 'announcement') this.#heard(opened.announcement, source);
    else this.#counts[opened.is] += 1;
    if (opened.is === 'other_version') {
      const message = `A node at ${source} announces itself in version ${opened.version}, which this one does not know: update the older of the two.`;
      this.#notices.sayOnce(`version ${source}`, 'warn', message, {
        address: source,
        version: opened.version,
      });
    }
  }

  #heard(announcement: Announcement, source: string): void {
    const { nodeId, boot, kind, to, port } = announcement;
    if (nodeId === this.#nodeId) {
      this.#counts.own += 1;
      return;
    }
    const verdict = this.#guard.judge(announcement, this.#now());
    if (verdict !== 'repeated' && kind === 'ask' && to === this.#boot) this.#replies.add('answer', boot);
    if (verdict === 'repeated' || verdict === 'doubtful') this.#counts[verdict] += 1;
    if (verdict === 'repeated') return;
    this.#compareClocks(announcement, source);
    if (verdict === 'doubtful') {
      this.#replies.add('ask', boot);
      return;
    }
    if (verdict === 'newcomer') this.#replies.add('hello', NOBODY);
    this.#counts.found += 1;
    this.#tell(formatAddress(source, port), nodeId);
  }

  /** An exception of the listener is its bug, but must not end the hearing of others. */
  #tell(address: string, nodeId: NodeId): void {
    try {
      this.#onFound?.(address, nodeId);
    } catch (error) {
      const reason = (error as Error).message;
      this.#notices.sayOnce('listener', 'error', `Found ${address}, which led to an error: ${reason}`, {
        address,
        code: 'internal_error',
      });
    }
  }

  #compareClocks({ nodeId, clockMs }: Announcement, source: string): void {
    const aheadMs = clockMs - this.#now();
    if (Math.abs(aheadMs) <= TIMES.clockSkewMs) return;
    const hours = (Math.abs(aheadMs) / HOUR_MS).toFixed(1);
    const direction = aheadMs > 0 ? 'ahead of' : 'behind';
    const message = `The clock of the node at ${source} is ${hours} h ${direction} ours: set the clocks of both machines.`;
    this.#notices.sayOnce(`clock ${nodeId}`, 'warn', message, { node_id: nodeId, ahead_ms: aheadMs });
  }
}
