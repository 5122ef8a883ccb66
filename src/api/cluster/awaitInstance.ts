/** `GET /instance/await`: tells how far a model is until it can serve, or until the time is over. */
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { type Fault, ShoalError } from '../../shared/errors.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { ApiContext } from '../context.js';
import { errorBody } from '../http/errors.js';
import { EventStream } from '../http/eventStream.js';
import { errorResponses } from '../http/openApi.js';
import { type AwaitMessage, awaitMessageSchema, progressOf } from './instanceProgress.js';
import { readState, type StateForm } from './stateForm.js';

const MS_PER_S = 1_000;

const querySchema = z.strictObject({
  model_id: z.string().min(1).max(LIMITS.modelIdCharacters),
  timeout_s: z.coerce
    .number()
    .min(0)
    .max(TIMES.longestInstanceAwaitMs / MS_PER_S)
    .default(TIMES.instanceAwaitMs / MS_PER_S)
    .describe('Longest wait, in seconds; 0 looks once.'),
});

export function registerAwaitInstance(app: FastifyInstance, context: ApiContext): void {
  const { view } = context;
  const waiters = new Set<Waiter>();
  let ticker: NodeJS.Timeout | undefined;
  const look = (): Seen => ({ state: readState(view), notReadyReason: view.notReadyReason() });
  // One look for all of them: making the state of a large cluster takes a while. In a rhythm, since progress is no event.
  const lookForAll = () => {
    const seen = look();
    for (const waiter of waiters) waiter.tell(seen);
  };
  app.addHook('preClose', async () => {
    for (const waiter of waiters) waiter.fail(STOPPING);
  });
  app.withTypeProvider<ZodTypeProvider>().get(
    '/instance/await',
    {
      schema: {
        summary: 'Wait until a model can serve',
        description:
          'Server-sent events, each with its `type` as the name of the event too: `progress` whenever something ' +
          'changed, then exactly one `ready` or `timeout`, which ends the stream. `ready` means that a request for ' +
          'the model would be taken now, on whichever node its instance is.',
        operationId: 'awaitInstance',
        tags: ['cluster'],
        querystring: querySchema,
        response: {
          200: {
            description: 'The messages',
            content: { 'text/event-stream': { schema: awaitMessageSchema } },
          },
          ...errorResponses('queue_full', 'not_ready'),
        },
      },
    },
    (request, reply) => {
      if (context.lifetimes.draining) throw ShoalError.fromFault(STOPPING);
      if (waiters.size >= LIMITS.instanceWaiters) {
        throw new ShoalError('queue_full', `${LIMITS.instanceWaiters} readers wait for instances already.`);
      }
      const { model_id: modelId, timeout_s: timeoutS } = request.query;
      const waiter = new Waiter(context, reply, { modelId, timeoutMs: timeoutS * MS_PER_S });
      waiters.add(waiter);
      ticker ??= setInterval(lookForAll, TIMES.instanceAwaitLookMs);
      const leave = () => {
        waiter.close();
        waiters.delete(waiter);
        if (waiters.size > 0) return;
        clearInterval(ticker);
        ticker = undefined;
      };
      reply.raw.once('close', leave);
      if (reply.raw.destroyed) leave();
      else waiter.tell(look());
    },
  );
}

const STOPPING: Fault = {
  code: 'not_ready',
  message: 'The node is stopping. Send the request again in a few seconds.',
};

interface Seen {
  readonly state: StateForm;
  readonly notReadyReason: string | null;
}

/** One reader. */
class Waiter {
  readonly #modelId: string;
  readonly #endsAt: number;
  readonly #stream: EventStream;
  #told = '';
  #isOver = false;

  constructor(context: ApiContext, reply: FastifyReply, options: { modelId: string; timeoutMs: number }) {
    this.#modelId = options.modelId;
    this.#endsAt = performance.now() + options.timeoutMs;
    this.#stream = new EventStream(reply, {
      keepAliveMs: context.keepAliveMs,
      bufferBytes: LIMITS.streamBufferBytes,
      lingerMs: TIMES.streamLingerMs,
      onOverflow: () => reply.raw.destroy(),
    });
  }

  /** Ends the stream with an error. Harmless when it has ended. */
  fail(fault: Fault): void {
    this.#write('error', errorBody(fault));
    this.close();
  }

  close(): void {
    this.#isOver = true;
    this.#stream.end();
  }

  /** Says what is news, until that was the last word. */
  tell({ state, notReadyReason }: Seen): void {
    if (this.#isOver) return;
    const message = progressOf(state, this.#modelId, notReadyReason);
    const isLate = performance.now() >= this.#endsAt;
    this.#say(message.type === 'progress' && isLate ? { ...message, type: 'timeout' } : message);
    if (message.type !== 'progress' || isLate) this.close();
  }

  #say(message: AwaitMessage): void {
    const text = JSON.stringify(message);
    if (text === this.#told) return;
    this.#told = text;
    this.#write(message.type, message);
  }

  #write(name: string, data: unknown): void {
    this.#stream.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`);
  }
}
