/**
 * The links of one rank, which live and die together: the first fault ends them all, and is told on each of them before
 * it closes, so that it goes on from rank to rank.
 */
import { type Fault, ShoalError } from '../shared/errors.js';
import { TIMES } from '../shared/limits.js';
import type { LinkPath } from './contract.js';
import type { RankNames } from './culprit.js';
import type { FrameStream } from './link/frameStream.js';
import { Link, type LinkEnd } from './link/link.js';

export class LinkGroup {
  readonly names: RankNames;
  readonly #links = new Map<number, Link>();
  readonly #resolveEnded: (fault: Fault | null) => void;
  /** Resolves when the group ends: with the fault, or with null when it was closed here. */
  readonly ended: Promise<Fault | null>;
  #failure: ShoalError | null = null;
  /** Runs once a rank has left. */
  #leaving: NodeJS.Timeout | undefined;
  /** Called with each new link. */
  onLinked: () => void = () => undefined;

  constructor(names: RankNames) {
    this.names = names;
    const { promise, resolve } = withResolver<Fault | null>();
    this.ended = promise;
    this.#resolveEnded = resolve;
  }

  get links(): ReadonlyMap<number, Link> {
    return this.#links;
  }

  /** Why the group has ended; null while it lives. */
  get failure(): ShoalError | null {
    return this.#failure;
  }

  /** @returns null, or why the connection cannot become a link: the group has ended, or has one to that rank */
  add(stream: FrameStream, path: LinkPath): Fault | null {
    if (this.#failure !== null) return this.#failure.toFault();
    if (this.#links.has(path.rank)) {
      return this.names.fault('peer_protocol_error', path.rank, 'wants a second link').toFault();
    }
    const link = new Link(stream, path, (ended, end) => this.#hear(ended, end));
    this.#links.set(path.rank, link);
    this.onLinked();
    return null;
  }

  /** Ends all links with a fault. Only the first one counts. */
  fail(error: ShoalError): void {
    if (this.#failure !== null) return;
    clearTimeout(this.#leaving);
    this.#failure = error;
    const fault = error.toFault();
    for (const link of this.#links.values()) link.end(error, fault);
    this.#resolveEnded(fault);
  }

  /** Ends all links; resolves when their connections are gone. Harmless when repeated. */
  async close(): Promise<void> {
    if (this.#failure === null) {
      clearTimeout(this.#leaving);
      this.#failure = new ShoalError('cancelled', 'the collective was closed');
      for (const link of this.#links.values()) link.end(this.#failure, null);
      this.#resolveEnded(null);
    }
    await Promise.all([...this.#links.values()].map((link) => link.closed()));
  }

  /**
   * A rank that leaves has sent all that it owed. The last operation may still be on its way between the others, which
   * leave next when all are done.
   */
  #hear(link: Link, end: LinkEnd): void {
    const fault = this.#faultOf(link, end);
    if (end.kind !== 'left') this.fail(fault);
    else this.#leaving ??= setTimeout(() => this.fail(fault), TIMES.collectiveFarewellMs);
  }

  #faultOf({ peer }: Link, end: LinkEnd): ShoalError {
    switch (end.kind) {
      case 'told':
        return ShoalError.fromFault(end.fault);
      case 'left':
        return this.names.fault('node_lost', peer, 'has left the collective');
      case 'lost':
        return this.names.fault('node_lost', peer, `is gone: ${end.reason}`);
      case 'garbage':
        return this.names.fault('peer_protocol_error', peer, `is not understood: it sent ${end.reason}`);
    }
  }
}

function withResolver<Value>(): {
  readonly promise: Promise<Value>;
  readonly resolve: (value: Value) => void;
} {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
