/** A master in this process, for the side channels of ranks. */
import { SideChannelGatherings } from '../../src/control/sideChannel.js';
import { ShoalError } from '../../src/shared/errors.js';
import type { InstanceId } from '../../src/shared/ids.js';
import type { Gather } from '../../src/worker/sideChannel/relay.js';

interface Waiting {
  readonly resolve: (blobs: readonly Uint8Array[]) => void;
  readonly reject: (error: Error) => void;
}

export class GatheringMaster {
  readonly #gatherings = new SideChannelGatherings();
  readonly #waiting = new Map<string, Waiting>();
  #calls = 0;

  gatherOf(worldSize: number): Gather {
    return (instanceId, round, rank, blob, signal) => {
      this.#calls += 1;
      const caller = `call ${this.#calls}`;
      signal.addEventListener('abort', () => this.#gatherings.leave(instanceId, caller));
      return new Promise((resolve, reject) => {
        this.#waiting.set(caller, { resolve, reject });
        const contribution = { instanceId, attempt: 0, round, rank, worldSize, blob, caller };
        this.#answer(this.#gatherings.contribute(contribution));
      });
    };
  }

  drop(instanceId: InstanceId, reason: string): void {
    this.#answer(this.#gatherings.drop(instanceId, reason));
  }

  #answer(answers: ReturnType<SideChannelGatherings['contribute']>): void {
    for (const { caller, result } of answers) {
      const call = this.#waiting.get(caller)!;
      this.#waiting.delete(caller);
      if (result.kind === 'gathered') call.resolve(result.blobs);
      else call.reject(ShoalError.fromFault(result.fault));
    }
  }
}
