/** Commands of this node that no master has answered yet: sent again when the master changes, or is silent. */
import type { Fault } from '../../shared/errors.js';
import { TIMES } from '../../shared/limits.js';
import type { ClusterCommand } from './commands.js';
import type { Epoch } from './position.js';

export interface PendingCommand {
  readonly key: string;
  readonly command: ClusterCommand;
  /** On this node's monotonic clock. */
  readonly deadlineAt: number;
}

interface Sending extends PendingCommand {
  sentTo: Epoch | null;
  sentAt: number;
}

export class PendingCommands {
  readonly #commands = new Map<string, Sending>();

  add(command: PendingCommand): void {
    this.#commands.set(command.key, { ...command, sentTo: null, sentAt: 0 });
  }

  /** Takes a command out, because it was answered or is not wanted any more. Null when it was not there. */
  take(key: string): PendingCommand | null {
    const command = this.#commands.get(key);
    this.#commands.delete(key);
    return command ?? null;
  }

  /** Those that the master of this epoch has not been sent lately; they count as sent now. */
  toSend(master: Epoch, now: number): PendingCommand[] {
    const due: PendingCommand[] = [];
    for (const sending of this.#commands.values()) {
      const isFresh =
        sending.sentTo?.nodeId === master.nodeId &&
        sending.sentTo.term === master.term &&
        now - sending.sentAt < TIMES.commandRetryMs;
      if (isFresh) continue;
      sending.sentTo = master;
      sending.sentAt = now;
      due.push(sending);
    }
    return due;
  }

  /** Takes out those whose time has run out. */
  takeExpired(now: number): PendingCommand[] {
    const expired = [...this.#commands.values()].filter(({ deadlineAt }) => now >= deadlineAt);
    for (const { key } of expired) this.#commands.delete(key);
    return expired;
  }
}

export const NO_MASTER_ANSWERED: Fault = {
  code: 'not_ready',
  message: 'no master of the cluster answered in time; a new one may just be elected',
};
