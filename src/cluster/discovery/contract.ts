/**
 * Finds out where other nodes may be. It only ever proposes: whoever is found is dialled by the links, which prove who
 * is there. So a repeated, old or wrong proposal costs a dial, and one that is lost is made again.
 */
import type { NodeId } from '../../shared/ids.js';

/**
 * @param address `HOST:PORT`, an IPv6 host in brackets, with its zone where it is only of one link: `[fe80::1%eth0]:52416`
 * @param nodeId who is said to be there; null when that is not known
 */
export type OnFound = (address: string, nodeId: NodeId | null) => void;

export interface Discovery {
  /**
   * Begins to look, and to be seen. Each address is told again and again while it seems right. Resolves when looking has
   * begun, also where the network refuses: that is told to people, and tried again.
   */
  start(onFound: OnFound): Promise<void>;

  /** Ends all of it; nothing is told afterwards. May be called at any time and more than once. Never rejects. */
  close(): Promise<void>;
}

export function formatAddress(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
