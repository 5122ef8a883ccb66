/** Addresses that a person gave: proposed for ever, whether somebody is there or not. */
import { TIMES } from '../../shared/limits.js';
import type { Discovery, OnFound } from './contract.js';

export interface StaticPeersOptions {
  /** @default TIMES.knownPeersMs */
  readonly intervalMs?: number;
}

export class StaticPeers implements Discovery {
  readonly #addresses: readonly string[];
  readonly #intervalMs: number;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  /** @param addresses `HOST:PORT`; names are resolved by who dials them */
  constructor(addresses: readonly string[], options: StaticPeersOptions = {}) {
    this.#addresses = [...new Set(addresses)];
    this.#intervalMs = options.intervalMs ?? TIMES.knownPeersMs;
  }

  start(onFound: OnFound): Promise<void> {
    if (this.#isClosed || this.#timer !== null) return Promise.resolve();
    const tell = () => {
      for (const address of this.#addresses) if (!this.#isClosed) onFound(address, null);
    };
    this.#timer = setInterval(tell, this.#intervalMs);
    tell();
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    return Promise.resolve();
  }
}
