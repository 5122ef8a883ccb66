/**
 * What the ranks of one model say to each other: tensors from one to another, sums over all, and small control frames.
 * A rank is one shard of the model in one process. The links of all ranks live and die together: the first fault, on
 * whichever rank, ends every pending and every later operation on all ranks with the same fault, which names the rank
 * at fault. Every implementation passes `testing/collectiveCompliance.ts`.
 *
 * A collective needs the event loop of its thread to turn. A thread that computes for long uses `bridge/` instead.
 */
import type { Fault } from '../shared/errors.js';

export interface OperationOptions {
  /**
   * The operation ends this long after its beginning, or fails with `deadline_exceeded`; null waits for as long as the
   * links stand. Three times `collectiveProbeMs` may pass until it is known which rank is at fault.
   * @default `collectiveOperationMs`
   */
  readonly deadlineMs?: number | null;
  /** Ends the collective with `cancelled`, on all ranks: one that leaves an operation is no longer in step. */
  readonly signal?: AbortSignal;
}

export interface ReceivedTensor {
  /** As the sender gave it. */
  readonly tag: number;
  /** In the caller's buffer, where one was given. */
  readonly bytes: Uint8Array;
}

export interface ReceiveOptions extends OperationOptions {
  /** Where the tensor goes; a longer one is a fault of its sender. Better than none: it saves a buffer. */
  readonly into?: Uint8Array;
  /** The tag that it must have; another one is a fault of its sender. */
  readonly tag?: number;
}

/** One way from this rank to another, as it was measured when the ranks met. */
export interface LinkPath {
  readonly rank: number;
  readonly localAddress: string;
  readonly remoteAddress: string;
  /** Median round trip of 16 KiB, in microseconds; null at the end that was dialled. */
  readonly roundTripUs: number | null;
}

export interface ControlFrame {
  readonly from: number;
  readonly bytes: Uint8Array;
}

/**
 * All operations throw a `ShoalError`: the fault that ended the collective, or `invalid_request` for one that this rank
 * must not ask for, which ends nothing. Buffers may lie in shared memory, and belong to the collective until the
 * operation has ended.
 */
export interface Collective {
  readonly rank: number;
  readonly worldSize: number;
  /** The ranks that tensors can be sent to and received from. */
  readonly neighbours: readonly number[];
  readonly paths: readonly LinkPath[];

  /**
   * Sends one tensor, given in pieces that are joined. Resolves when the buffers may be used again. While the receiver
   * has not taken what was sent before, it waits once `collectiveWindowBytes` are on the way.
   * @param tag the caller's number for it, 0 to 2³² − 1
   */
  send(to: number, tag: number, pieces: readonly Uint8Array[], options?: OperationOptions): Promise<void>;

  /** The next tensor from a rank, in the order in which it sent them. */
  receive(from: number, options?: ReceiveOptions): Promise<ReceivedTensor>;

  /**
   * Replaces the elements of `buffer` by their sums over all ranks, added in f32 in the order of ranks: the result is
   * the same on all ranks and for every implementation, to the last bit (of a NaN, that it is one). All ranks call it
   * with the same length, and call `allReduce` and `barrier` in the same order.
   */
  allReduce(buffer: Float32Array, options?: OperationOptions): Promise<void>;

  /** Resolves when all ranks have called it. */
  barrier(options?: OperationOptions): Promise<void>;

  /**
   * Sends a control frame to all other ranks. Frames of one rank arrive in the order of their sending; between those of
   * several ranks, and between them and tensors, there is none. Each rank must take them with `nextBroadcast`.
   */
  broadcast(frame: Uint8Array, options?: OperationOptions): Promise<void>;

  /** The next control frame of any other rank. */
  nextBroadcast(options?: OperationOptions): Promise<ControlFrame>;

  /** Resolves when the collective ends: with the fault, or with null when this rank closed it. */
  readonly ended: Promise<Fault | null>;

  /**
   * Ends the collective for all ranks with a fault that this rank has found, unless it has ended. Where its details name
   * no rank, it is this one that is at fault.
   */
  fail(fault: Fault): void;

  /**
   * Ends the collective for all ranks; harmless when repeated. Within `collectiveFarewellMs`, so that all may close after
   * their last operation, the others' operations fail with `node_lost`, which names this rank. Resolves when no socket is
   * left.
   */
  close(): Promise<void>;
}
