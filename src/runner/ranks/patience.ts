import type { Ticket } from '../../collective/bridge/blockingCollective.js';
import { ShoalError } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import type { SharedStatus } from '../sharedStatus.js';

/** How a computing thread waits for other ranks: with signs of life, and no longer than its process shall run. */
export class Patience {
  readonly #status: SharedStatus;
  readonly #lookAround: () => void;

  /** @param lookAround called with each sign of life */
  constructor(status: SharedStatus, lookAround: () => void) {
    this.#status = status;
    this.#lookAround = lookAround;
  }

  /**
   * @param onBeat called with each sign of life
   * @throws {ShoalError} as the operation; `cancelled` when the process shall end
   */
  wait(ticket: Ticket, onBeat: () => void = () => undefined): void {
    this.#requireTime();
    while (!ticket.wait(TIMES.heartbeatMs / 2)) {
      this.#beat();
      onBeat();
      this.#requireTime();
    }
    this.#beat();
  }

  /** Looks with each ring of the bell. @throws {ShoalError} as `isThere`; `cancelled` when the process shall end */
  until(isThere: () => boolean): void {
    for (;;) {
      const { rings } = this.#status;
      if (isThere()) return;
      this.#requireTime();
      this.#status.sleep(rings, TIMES.heartbeatMs / 2);
      this.#beat();
    }
  }

  #beat(): void {
    this.#status.beat();
    this.#lookAround();
  }

  #requireTime(): void {
    if (this.#status.isShutdownRequested) throw new ShoalError('cancelled', 'The runner shall end.');
  }
}
