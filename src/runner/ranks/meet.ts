import { connectCollective } from '../../collective/connect.js';
import type { Collective } from '../../collective/contract.js';
import { SideChannel } from '../../collective/sideChannel/sideChannel.js';
import { TIMES } from '../../shared/limits.js';
import type { RunnerPart } from '../../shared/runnerProtocol.js';

const SHAPES = { Ring: 'ring', Mesh: 'mesh' } as const;

/**
 * Resolves when all ranks of the model are linked. A rank that starts late is waited for as long as the side channel does.
 * @throws {ShoalError} which names the rank that is missing or at fault
 */
export async function meetRanks(part: RunnerPart, signal: AbortSignal): Promise<Collective> {
  const { rank, worldSize, transport, secret, names } = part;
  const sideChannel = new SideChannel();
  try {
    return await connectCollective(
      { rank, worldSize, shape: SHAPES[transport], secret, names },
      (blob, gatherSignal) => sideChannel.allGather(blob, gatherSignal),
      { signal, connectMs: TIMES.sideChannelRoundMs + TIMES.collectiveConnectMs },
    );
  } finally {
    sideChannel.close();
  }
}
