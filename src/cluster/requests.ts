/**
 * The requests that entered through this node. The core decides where each runs, when it moves and when it must end;
 * here its streams are opened, and whichever end comes first, of the answer or of the task, becomes the end of both.
 */
import { randomUUID } from 'node:crypto';
import type { Assignment } from '../control/cluster/commands.js';
import type { TaskStatus } from '../control/state.js';
import { ShoalError, toFault } from '../shared/errors.js';
import type { GenerationRequest } from '../shared/generation.js';
import type { GenerationStream, TerminalEvent } from '../shared/generationStream.js';
import type { CommandId, InstanceId, NodeId, TaskId } from '../shared/ids.js';
import type { ClusterNode } from './clusterNode.js';
import { type Move, OpenRequest, type OpenStream } from './openRequest.js';

export interface AcceptedRequest {
  /** Where it ran first. */
  readonly instanceId: InstanceId;
  readonly nodeId: NodeId;
  readonly events: GenerationStream;
}

export interface RequestOptions {
  /** Told when the answer goes on at another place. */
  readonly onMoved?: (move: Move) => void;
  /** How long it may wait for a place where nothing takes it now. @default 0 */
  readonly placeWaitMs?: number;
}

export interface RequestsComponents {
  readonly cluster: Pick<
    ClusterNode,
    'openTask' | 'taskStreamEnded' | 'taskStreamBroken' | 'expireTask' | 'cancelTask' | 'taskOf'
  >;
  readonly openStream: OpenStream;
  /** Told when a request that was accepted ends. */
  readonly onEnded: (request: GenerationRequest, end: TerminalEvent) => void;
  /** Told when an answer goes on at another place. @default nobody is */
  readonly onMoved?: (request: GenerationRequest, move: Move) => void;
}

export class Requests {
  readonly #components: RequestsComponents;

  constructor(components: RequestsComponents) {
    this.#components = components;
  }

  /**
   * @param clientSignal its reason says why the client's side ended the request
   * @throws {ShoalError} when no instance can take the request, or it ended before one did
   */
  generate(
    request: GenerationRequest,
    clientSignal: AbortSignal,
    { onMoved, placeWaitMs = 0 }: RequestOptions = {},
  ): Promise<AcceptedRequest> {
    const { cluster, openStream } = this.#components;
    const taskId = randomUUID() as TaskId;
    const { commandId, modelId, deadlineMs } = request;
    const open = new OpenRequest(
      {
        openStream,
        onBroken: (attemptId, fault, isBegun) => cluster.taskStreamBroken(taskId, attemptId, fault, isBegun),
        onMoved: (move) => {
          onMoved?.(move);
          this.#components.onMoved?.(request, move);
        },
      },
      request,
    );
    return new Promise((resolve, reject) => {
      let isAccepted = false;
      const cancel = () => cluster.cancelTask(taskId, toFault(clientSignal.reason));
      // The core looks at its clock a few times a second: a deadline is kept to the millisecond here.
      const deadline = setTimeout(() => cluster.expireTask(taskId), deadlineMs);
      const settle = () => {
        clearTimeout(deadline);
        clientSignal.removeEventListener('abort', cancel);
      };
      clientSignal.addEventListener('abort', cancel, { once: true });
      cluster.openTask(
        { taskId, commandId, modelId, deadlineMs, placeWaitMs },
        {
          placed: (assignment) => {
            if (!isAccepted) resolve(this.#accept(taskId, request, assignment, open, settle));
            isAccepted = true;
            open.placed(assignment);
          },
          moving: (fault) => open.moving(fault),
          ended: (fault) => {
            settle();
            if (isAccepted) open.events.abort(fault);
            else reject(ShoalError.fromFault(fault));
          },
        },
      );
      if (clientSignal.aborted) cancel();
    });
  }

  /** Ends a request of this node by its id. False when no such request is running here. */
  cancel(commandId: CommandId): boolean {
    const taskId = this.#components.cluster.taskOf(commandId);
    if (taskId === null) return false;
    const message = `the request was cancelled by POST /v1/cancel/${commandId}`;
    this.#components.cluster.cancelTask(taskId, { code: 'cancelled', message });
    return true;
  }

  #accept(
    taskId: TaskId,
    request: GenerationRequest,
    { instanceId, nodeId }: Assignment,
    { events }: OpenRequest,
    settle: () => void,
  ): AcceptedRequest {
    const { cluster, onEnded } = this.#components;
    void events.ended.then((end) => {
      settle();
      cluster.taskStreamEnded(taskId, taskStatus(end));
      onEnded(request, end);
    });
    return { instanceId, nodeId, events };
  }
}

function taskStatus(end: TerminalEvent): Exclude<TaskStatus, 'running'> {
  if (end.kind === 'finished') return 'complete';
  return end.fault.code === 'cancelled' ? 'cancelled' : 'failed';
}
