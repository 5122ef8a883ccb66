/** Which machines a transport can join (R24, R40). */
import type { Machines, Way } from './machines.js';
import type { Transport } from './types.js';

export class Network {
  readonly transport: Transport;
  readonly #machines: Machines;
  readonly #requireRdma: boolean;

  constructor(machines: Machines, options: { readonly transport: Transport; readonly requireRdma: boolean }) {
    this.#machines = machines;
    this.transport = options.transport;
    this.#requireRdma = options.requireRdma;
  }

  /** Null when there is none, or none with RDMA where that is required. */
  way(from: number, to: number): Way | null {
    const way = this.#machines.way(from, to);
    return way === null || (this.#requireRdma && !way.rdma) ? null : way;
  }

  /** Ways that the transport needs for ranks in this order: Ring those of neighbours, Mesh those of every pair. */
  needed(order: readonly number[]): (Way | null)[] {
    const ways: (Way | null)[] = [];
    for (let rank = 0; rank < order.length; rank += 1) {
      if (this.transport === 'Mesh') {
        for (let other = 0; other < rank; other += 1) ways.push(this.way(order[other]!, order[rank]!));
      } else if (order.length > 1) {
        ways.push(this.way(order[rank]!, order[(rank + 1) % order.length]!));
      }
    }
    return ways;
  }
}
