/** Causes faults on purpose, on this node or another. Only where nodes were started with `--failpoints`. */
import type { FailpointService } from '../api/ports.js';
import type { Calls } from '../cluster/calls/calls.js';
import type { TlsPeerLinks } from '../cluster/link/tlsPeerLinks.js';
import { ShoalError } from '../shared/errors.js';
import { type Failpoint, formatFailpoint, parseFailpoint } from '../shared/failpoints.js';
import type { NodeId, RunnerId } from '../shared/ids.js';
import type { Worker } from '../worker/worker.js';

/** Name of the call: `{failpoint, runnerId}` → how many it concerns. */
const FAILPOINT_CALL = 'failpoint';

/** Whoever asks for a link to be cut may get the answer over that very link. */
const ANSWERED_MS = 100;

export interface FailpointsComponents {
  readonly nodeId: NodeId;
  readonly calls: Calls;
  readonly worker: Worker;
  readonly links: Pick<TlsPeerLinks, 'drop' | 'takeAll'>;
  /** Whether the failpoint is one of the store's; it is caused then. */
  readonly failStore: (failpoint: Failpoint) => boolean;
}

export class Failpoints implements FailpointService {
  readonly #components: FailpointsComponents;

  constructor(components: FailpointsComponents) {
    this.#components = components;
  }

  /** Lets other nodes cause faults here. */
  serve(): void {
    this.#components.calls.serve(FAILPOINT_CALL, (_from, body) => {
      const { failpoint, runnerId } = (body ?? {}) as Record<string, unknown>;
      const parsed = typeof failpoint === 'string' ? parseFailpoint(failpoint) : null;
      if (parsed === null)
        throw new ShoalError('invalid_request', `there is no failpoint ${String(failpoint)}`);
      return this.#failHere(parsed, typeof runnerId === 'string' ? (runnerId as RunnerId) : null);
    });
  }

  async fail(
    failpoint: Failpoint,
    { nodeId, runnerId }: { readonly nodeId: NodeId | null; readonly runnerId: RunnerId | null },
  ): Promise<number> {
    const { calls, nodeId: self } = this.#components;
    if (nodeId === null || nodeId === self) return this.#failHere(failpoint, runnerId);
    return Number(
      await calls.call(nodeId, FAILPOINT_CALL, { failpoint: formatFailpoint(failpoint), runnerId }),
    );
  }

  #failHere(failpoint: Failpoint, runnerId: RunnerId | null): number {
    const { worker, failStore } = this.#components;
    if (failpoint.name === 'node.drop_peer') return this.#dropPeer(failpoint.arg);
    return failStore(failpoint) ? 1 : worker.fail(failpoint, runnerId);
  }

  #dropPeer(peer: string | null): number {
    const { links } = this.#components;
    if (peer === null) links.takeAll();
    else setTimeout(() => links.drop(peer as NodeId), ANSWERED_MS);
    return 1;
  }
}
