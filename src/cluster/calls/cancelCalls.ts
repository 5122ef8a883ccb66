/** Cancels a request by its id wherever it entered the cluster. */
import { ShoalError, toFault } from '../../shared/errors.js';
import type { CommandId, NodeId } from '../../shared/ids.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { PeerLinks } from '../link/contract.js';
import type { Calls } from './calls.js';
import { notUnderstood } from './fault.js';

/** Name of the call: `{commandId}` → `{cancelled}`. */
const CANCEL_CALL = 'cancel';

export interface CancelCallsComponents {
  readonly calls: Calls;
  readonly links: Pick<PeerLinks, 'peers'>;
  /** Cancels a request that entered through this node. False when no such request is running here. */
  readonly cancelHere: (commandId: CommandId) => boolean;
}

export class CancelCalls {
  readonly #components: CancelCallsComponents;

  constructor(components: CancelCallsComponents) {
    this.#components = components;
    components.calls.serve(CANCEL_CALL, (from, body) => {
      const { commandId } = (body ?? {}) as Record<string, unknown>;
      if (!isIdentifier(commandId))
        throw ShoalError.fromFault(notUnderstood(from, 'a cancel names a command'));
      return { cancelled: components.cancelHere(commandId as CommandId) };
    });
  }

  /**
   * Ends a request that entered through this node or another. False when it runs on none.
   * @throws {ShoalError} when no node had it, but not all of them answered in time
   */
  async cancel(commandId: CommandId, signal?: AbortSignal): Promise<boolean> {
    if (this.#components.cancelHere(commandId)) return true;
    const asked = [...this.#components.links.peers.keys()].map(async (nodeId) => {
      if (!(await this.cancelOn(nodeId, commandId, signal))) throw NOT_THERE;
    });
    try {
      await Promise.any(asked);
      return true;
    } catch (error) {
      const unanswered = (error as AggregateError).errors.find((reason) => reason !== NOT_THERE);
      if (unanswered === undefined) return false;
      throw unanswered instanceof ShoalError ? unanswered : ShoalError.fromFault(toFault(unanswered));
    }
  }

  /**
   * Ends a request that entered through one other node. False when no such request is running there.
   * @throws {ShoalError} `node_lost`, `deadline_exceeded`, `peer_protocol_error`
   */
  async cancelOn(nodeId: NodeId, commandId: CommandId, signal?: AbortSignal): Promise<boolean> {
    const reply = await this.#components.calls.call(
      nodeId,
      CANCEL_CALL,
      { commandId },
      { timeoutMs: TIMES.cancelCallMs, ...(signal === undefined ? {} : { signal }) },
    );
    const { cancelled } = (reply ?? {}) as Record<string, unknown>;
    if (typeof cancelled !== 'boolean') {
      throw ShoalError.fromFault(notUnderstood(nodeId, 'the answer to a cancel was due'));
    }
    return cancelled;
  }
}

/** How one node's `no` travels through `Promise.any`, which ends with the first `yes`. */
const NOT_THERE = new Error('no such request is running there');

function isIdentifier(value: unknown): value is string {
  return typeof value === 'string' && value.length > 0 && value.length <= LIMITS.pathSegmentCharacters;
}
