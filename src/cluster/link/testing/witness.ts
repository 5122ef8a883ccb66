/** Hears everything of the links of one node, and waits for it with a bound. */
import type { NodeId } from '../../../shared/ids.js';
import type { LinkedPeer, PeerLinkListener, PeerLinks } from '../contract.js';

const WAIT_LIMIT_MS = 15_000;
const LOOK_AGAIN_MS = 2;

export class Witness implements PeerLinkListener {
  readonly openings: LinkedPeer[] = [];
  readonly closings: { readonly peer: LinkedPeer; readonly reason: string }[] = [];
  readonly messages: { readonly from: NodeId; readonly message: unknown }[] = [];

  constructor(links: PeerLinks) {
    links.listen(this);
  }

  opened(peer: LinkedPeer): void {
    this.openings.push(peer);
  }

  closed(peer: LinkedPeer, reason: string): void {
    this.closings.push({ peer, reason });
  }

  received(from: NodeId, message: unknown): void {
    this.messages.push({ from, message });
  }
}

/** @throws when the condition does not come true in time */
export async function until(what: string, condition: () => boolean, limitMs = WAIT_LIMIT_MS): Promise<void> {
  const endsAt = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > endsAt) throw new Error(`waited for ${limitMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_AGAIN_MS));
  }
}
