import { connectCollective } from '../../collective/connect.js';
import type { Collective } from '../../collective/contract.js';
import { SideChannel } from '../../collective/sideChannel/sideChannel.js';
import { TIMES } from '../../shared/limits.js';
import type { RunnerPart } from '../../shared/runnerProtocol.js';

/**
 * Meets the other ranks through the side channel of this process, and links up with them.
 * @throws {ShoalError} which names the rank that is missing or at fault
 */
export async function connectRanks(part: RunnerPart, signal: AbortSignal): Promise<Collective> {
  const sideChannel = new SideChannel();
  try {
    const { rank, worldSize, secret, names } = part;
    const shape = part.transport === 'Ring' ? 'ring' : 'mesh';
    const gather = (blob: Uint8Array, ending: AbortSignal) => sideChannel.allGather(blob, ending);
    return await connectCollective({ rank, worldSize, shape, secret, names }, gather, {
      signal,
      // A rank that starts late is waited for as long as the side channel does.
      connectMs: TIMES.sideChannelRoundMs + TIMES.collectiveConnectMs,
    });
  } finally {
    sideChannel.close();
  }
}
