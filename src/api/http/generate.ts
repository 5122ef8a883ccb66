/**
 * One generation request as an HTTP answer: the way that all protocols share. A protocol brings a format, which
 * turns events into its own text; assignment, deadline, disconnects, keep-alives, back-pressure and errors are
 * the same for all and stand here.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { type Fault, ShoalError } from '../../shared/errors.js';
import type { GenerationRequest, GenerationStats } from '../../shared/generation.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import { preferredWaitMs } from '../../shared/preferWait.js';
import type { ApiContext } from '../context.js';
import type { GenerationMove } from '../ports.js';
import { httpFault } from './errors.js';
import { EventStream } from './eventStream.js';
import { type AnswerEvent, readEvents } from './events.js';
import { requestedFailpoint } from './failpointHeader.js';
import { type RequestLifetime, untilAborted } from './lifetime.js';

/** How a protocol writes a stream. Every method returns whole events in wire form; '' writes nothing. */
export interface StreamFormat {
  event(event: AnswerEvent): string;
  /** An error after the first byte, and the stream's proper end. */
  fault(fault: Fault): string;
}

/** How a protocol gathers an answer that is not streamed. */
export interface AnswerFormat {
  event(event: AnswerEvent): void;
  /** The body, once `finished` has come. */
  body(): unknown;
}

interface Listener {
  /** It has its place: from now on it is answered, and no longer refused. */
  readonly onAccepted: () => void;
  readonly onEvent: (event: AnswerEvent) => void;
  readonly onMoved: (move: GenerationMove) => void;
}

/** What a stream tells of a move, in a comment that clients skip and people, or a dashboard, may read. */
function moveNote({ from, to, reason, waitedMs }: GenerationMove): string {
  return `moved ${JSON.stringify({ from, to, reason: reason.code, waited_ms: Math.round(waitedMs) })}`;
}

/** One request on its way: what `streamAnswer` and `wholeAnswer` need to know of it. */
export interface Exchange {
  readonly context: ApiContext;
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly generation: GenerationRequest;
}

/**
 * Answers with a server-sent event stream. Status and headers wait for the place and the first event, so that a refusal
 * has its proper status, however long it waited. @throws what went wrong before the first byte; afterwards errors are
 * events of the stream
 */
export async function streamAnswer(exchange: Exchange, format: StreamFormat): Promise<void> {
  const { context, request, reply } = exchange;
  const lifetime = begin(exchange);
  const stream = new EventStream(reply, {
    keepAliveMs: context.keepAliveMs,
    bufferBytes: LIMITS.streamBufferBytes,
    lingerMs: TIMES.streamLingerMs,
    onOverflow: () =>
      lifetime.end(
        new ShoalError(
          'client_too_slow',
          `More than ${LIMITS.streamBufferBytes} bytes of the stream waited unread. Read the stream as it comes.`,
        ),
      ),
  });
  try {
    const onEvent = (event: AnswerEvent) => {
      const text = format.event(event);
      if (text !== '') stream.write(text);
    };
    await run(exchange, lifetime, {
      onAccepted: () => stream.keepAlive(),
      onEvent,
      onMoved: (move) => stream.comment(moveNote(move)),
    });
  } catch (thrown) {
    if (!stream.opened) throw thrown;
    const fault = httpFault(thrown, request.id);
    if (fault.code === 'internal_error') request.log.error({ err: thrown }, 'bug in a stream');
    request.outcome.fault = fault;
    stream.write(format.fault(fault));
  } finally {
    stream.end();
    lifetime.dispose();
  }
}

/** Answers with one JSON body. @throws a `ShoalError` for everything that can go wrong */
export async function wholeAnswer(exchange: Exchange, format: AnswerFormat): Promise<unknown> {
  const lifetime = begin(exchange);
  try {
    await run(exchange, lifetime, {
      onAccepted: () => undefined,
      onEvent: (event) => format.event(event),
      onMoved: () => undefined,
    });
    return format.body();
  } finally {
    lifetime.dispose();
  }
}

function begin({ context, request, reply, generation }: Exchange): RequestLifetime {
  if (context.lifetimes.draining) {
    throw new ShoalError('not_ready', 'The node is stopping. Send the request again in a few seconds.');
  }
  request.outcome.commandId = generation.commandId;
  request.outcome.modelId = generation.modelId;
  reply.header('x-command-id', generation.commandId);
  reply.header('x-node-id', context.view.nodeId);
  return context.lifetimes.begin(reply.raw, generation.deadlineMs + context.deadlineGraceMs);
}

async function run(
  { context, request, reply, generation }: Exchange,
  lifetime: RequestLifetime,
  { onAccepted, onEvent, onMoved }: Listener,
): Promise<GenerationStats> {
  const { signal } = lifetime;
  const failpoint = requestedFailpoint(request, context);
  const asked = failpoint === null ? generation : { ...generation, failpoint };
  const accepted = await untilAborted(
    context.generations.generate(asked, signal, { onMoved, placeWaitMs: preferredWaitMs(request.headers) }),
    signal,
  );
  request.outcome.instanceId = accepted.instanceId;
  reply.header('x-instance-id', accepted.instanceId);
  reply.header('x-node-id', accepted.nodeId);
  onAccepted();
  const stats = await readEvents(accepted.events, signal, {
    onEvent,
    onLeaveFailed: (error) => request.log.error({ err: error }, 'a finished generation could not be left'),
  });
  request.outcome.stats = stats;
  return stats;
}
