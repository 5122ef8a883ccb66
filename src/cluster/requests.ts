/**
 * The requests that entered through this node. The core decides where each runs and when it must end; here its stream
 * is opened, and whichever end comes first, of the stream or of the task, becomes the end of both.
 */
import { randomUUID } from 'node:crypto';
import type { TaskStatus } from '../control/state.js';
import { type Fault, ShoalError, toFault } from '../shared/errors.js';
import type { GenerationRequest } from '../shared/generation.js';
import type { GenerationStream, TerminalEvent } from '../shared/generationStream.js';
import type { CommandId, InstanceId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import type { ClusterNode } from './clusterNode.js';

/** Opens the stream to the worker that has the runner, on this node or another. */
type OpenStream = (nodeId: NodeId, runnerId: RunnerId, request: GenerationRequest) => GenerationStream;

export interface AcceptedRequest {
  readonly instanceId: InstanceId;
  readonly nodeId: NodeId;
  readonly events: GenerationStream;
}

/** Told when a request that was accepted ends. */
type RequestEnded = (request: GenerationRequest, end: TerminalEvent) => void;

export interface RequestsComponents {
  readonly cluster: Pick<ClusterNode, 'openTask' | 'taskStreamEnded' | 'cancelTask' | 'taskOf'>;
  readonly openStream: OpenStream;
  readonly onEnded: RequestEnded;
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
  generate(request: GenerationRequest, clientSignal: AbortSignal): Promise<AcceptedRequest> {
    const { cluster } = this.#components;
    const taskId = randomUUID() as TaskId;
    const { commandId, modelId, deadlineMs } = request;
    return new Promise((resolve, reject) => {
      let events: GenerationStream | null = null;
      const cancel = () => cluster.cancelTask(taskId, toFault(clientSignal.reason));
      // The core looks at its clock a few times a second: a deadline is kept to the millisecond here.
      const deadline = setTimeout(() => cluster.cancelTask(taskId, deadlinePassed(request)), deadlineMs);
      const settle = () => {
        clearTimeout(deadline);
        clientSignal.removeEventListener('abort', cancel);
      };
      clientSignal.addEventListener('abort', cancel, { once: true });
      cluster.openTask(
        { taskId, commandId, modelId, deadlineMs },
        {
          placed: (nodeId, runnerId, instanceId) => {
            events = this.#stream(taskId, nodeId, runnerId, request, settle);
            resolve({ instanceId, nodeId, events });
          },
          ended: (fault) => {
            settle();
            if (events === null) reject(ShoalError.fromFault(fault));
            else events.abort(fault);
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

  #stream(
    taskId: TaskId,
    nodeId: NodeId,
    runnerId: RunnerId,
    request: GenerationRequest,
    settle: () => void,
  ): GenerationStream {
    const { cluster, openStream, onEnded } = this.#components;
    const events = openStream(nodeId, runnerId, request);
    void events.ended.then((end) => {
      settle();
      cluster.taskStreamEnded(taskId, taskStatus(end));
      onEnded(request, end);
    });
    return events;
  }
}

function taskStatus(end: TerminalEvent): Exclude<TaskStatus, 'running'> {
  if (end.kind === 'finished') return 'complete';
  return end.fault.code === 'cancelled' ? 'cancelled' : 'failed';
}

function deadlinePassed(request: GenerationRequest): Fault {
  return { code: 'deadline_exceeded', message: `the request did not end within ${request.deadlineMs} ms` };
}
