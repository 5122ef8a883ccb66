/**
 * One request of a client: its answer, as one stream, from wherever it runs. When it loses its place the core finds
 * another, and the answer goes on there; the client sees a pause.
 */
import type { Assignment } from '../control/cluster/commands.js';
import type { Fault } from '../shared/errors.js';
import { movedFailpoint } from '../shared/failpoints.js';
import type { GenerationRequest } from '../shared/generation.js';
import { GenerationStream } from '../shared/generationStream.js';
import type { InstanceId, NodeId, RunnerId, TaskId } from '../shared/ids.js';
import { Transcript } from './transcript.js';

/** Opens the stream to the worker that has the runner, on this node or another. */
export type OpenStream = (nodeId: NodeId, runnerId: RunnerId, request: GenerationRequest) => GenerationStream;

/** An answer goes on at another place. */
export interface Move {
  readonly from: InstanceId;
  readonly to: InstanceId;
  readonly reason: Fault;
  /** From the loss of the one place to the request at the other. */
  readonly waitedMs: number;
}

export interface OpenRequestComponents {
  readonly openStream: OpenStream;
  /** The stream from this place broke off: what becomes of it? */
  readonly onBroken: (attemptId: TaskId, fault: Fault, isBegun: boolean) => void;
  readonly onMoved: (move: Move) => void;
}

interface Place {
  readonly assignment: Assignment;
  readonly stream: GenerationStream;
}

export class OpenRequest {
  /** The answer for the client. */
  readonly events = new GenerationStream();
  readonly #components: OpenRequestComponents;
  readonly #request: GenerationRequest;
  readonly #transcript: Transcript;
  readonly #arrivedAtMs = performance.now();
  #place: Place | null = null;
  #loss: { readonly from: InstanceId; readonly fault: Fault; readonly atMs: number } | null = null;

  constructor(components: OpenRequestComponents, request: GenerationRequest) {
    this.#components = components;
    this.#request = { arrivedAt: Date.now(), ...request };
    this.#transcript = new Transcript(request.choices, this.#arrivedAtMs);
    // Whoever ends the answer ends what still runs for it.
    void this.events.ended.then((end) => {
      if (end.kind === 'failed') this.#leave(end.fault);
    });
  }

  /** It runs there from now on. */
  placed(assignment: Assignment): void {
    if (this.events.isEnded) return;
    const resume = this.#transcript.begin();
    const { nodeId, runnerId, instanceId } = assignment;
    const stream = this.#components.openStream(nodeId, runnerId, this.#asked(resume));
    this.#place = { assignment, stream };
    const loss = this.#loss;
    this.#loss = null;
    if (loss !== null) {
      const waitedMs = performance.now() - loss.atMs;
      this.#components.onMoved({ from: loss.from, to: instanceId, reason: loss.fault, waitedMs });
    }
    void this.#pump(this.#place);
  }

  /** It has lost its place, and may get another. */
  moving(fault: Fault): void {
    const from = this.#place?.assignment.instanceId;
    if (from !== undefined) this.#loss = { from, fault, atMs: performance.now() };
    this.#leave(fault);
  }

  #asked(resume: ReturnType<Transcript['begin']>): GenerationRequest {
    const { failpoint, ...request } = this.#request;
    const isFirst = this.#loss === null;
    const caused = isFirst ? failpoint : movedFailpoint(failpoint);
    return {
      ...request,
      ...(caused === undefined ? {} : { failpoint: caused }),
      ...(resume === null ? {} : { resume }),
      deadlineMs: Math.max(1, request.deadlineMs - (performance.now() - this.#arrivedAtMs)),
    };
  }

  async #pump(place: Place): Promise<void> {
    for await (const event of place.stream) {
      if (this.#place !== place || this.events.isEnded) return;
      if (event.kind === 'failed') {
        this.#components.onBroken(place.assignment.taskId, event.fault, this.#transcript.isBegun);
        return;
      }
      const told = this.#transcript.take(event, performance.now());
      if ('code' in told) {
        this.#components.onBroken(place.assignment.taskId, told, false);
        return;
      }
      for (const one of told) this.events.push(one);
    }
  }

  #leave(fault: Fault): void {
    const place = this.#place;
    this.#place = null;
    place?.stream.abort(fault);
  }
}
