/**
 * The requests that entered through this node: each is assigned to an instance, streamed from its first rank, and
 * ends once, at the latest at its deadline, whatever the serving side does.
 */
import { randomUUID } from 'node:crypto';
import type { TaskStatus } from '../control/state.js';
import { type Fault, toFault } from '../shared/errors.js';
import type { GenerationRequest } from '../shared/generation.js';
import type { GenerationStream, TerminalEvent } from '../shared/generationStream.js';
import type { CommandId, InstanceId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import type { ControlPlane } from './controlPlane.js';

/** Opens the stream to the worker that has the runner. */
export type OpenStream = (runnerId: RunnerId, request: GenerationRequest) => GenerationStream;

export interface AcceptedRequest {
  readonly instanceId: InstanceId;
  readonly nodeId: NodeId;
  readonly events: GenerationStream;
}

/** Told when a request ends. */
export type RequestEnded = (request: GenerationRequest, end: TerminalEvent) => void;

export class Requests {
  readonly #controlPlane: ControlPlane;
  readonly #openStream: OpenStream;
  readonly #onEnded: RequestEnded;
  readonly #running = new Map<CommandId, GenerationStream>();

  constructor(components: { controlPlane: ControlPlane; openStream: OpenStream; onEnded: RequestEnded }) {
    this.#controlPlane = components.controlPlane;
    this.#openStream = components.openStream;
    this.#onEnded = components.onEnded;
  }

  /**
   * @param clientSignal its reason says why the client's side ended the request
   * @throws {ShoalError} `no_instance`, `all_instances_failed`, `queue_full`
   */
  async generate(request: GenerationRequest, clientSignal: AbortSignal): Promise<AcceptedRequest> {
    const taskId = randomUUID() as TaskId;
    const { commandId, modelId } = request;
    const { instance, nodeId, runnerId } = this.#controlPlane.assign({ taskId, commandId, modelId });
    const events = this.#openStream(runnerId, request);
    this.#running.set(commandId, events);
    const cancel = () => events.abort(toFault(clientSignal.reason));
    const deadline = setTimeout(() => events.abort(deadlinePassed(request)), request.deadlineMs);
    clientSignal.addEventListener('abort', cancel, { once: true });
    if (clientSignal.aborted) cancel();
    void events.ended.then((end) => {
      clearTimeout(deadline);
      clientSignal.removeEventListener('abort', cancel);
      this.#running.delete(commandId);
      this.#controlPlane.publish({ kind: 'TaskFinished', taskId, status: taskStatus(end) });
      this.#onEnded(request, end);
    });
    return { instanceId: instance.instanceId, nodeId, events };
  }

  /** Ends a request by its id. False when no such request is running. */
  cancel(commandId: CommandId): boolean {
    const events = this.#running.get(commandId);
    events?.abort(cancelledBy(`POST /v1/cancel/${commandId}`));
    return events !== undefined;
  }
}

function taskStatus(end: TerminalEvent): Exclude<TaskStatus, 'running'> {
  if (end.kind === 'finished') return 'complete';
  return end.fault.code === 'cancelled' ? 'cancelled' : 'failed';
}

function cancelledBy(whom: string): Fault {
  return { code: 'cancelled', message: `the request was cancelled by ${whom}` };
}

function deadlinePassed(request: GenerationRequest): Fault {
  return { code: 'deadline_exceeded', message: `the request did not end within ${request.deadlineMs} ms` };
}
