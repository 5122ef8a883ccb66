/** `/events`: the applied control events as they come, with resume. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import { LIMITS, TIMES } from '../../shared/limits.js';
import type { ApiContext } from '../context.js';
import { EventStream } from '../http/eventStream.js';
import { errorResponses, textResponse } from '../http/openApi.js';

const INDEX = /^\d{1,15}$/;

export function registerEvents(app: FastifyInstance, { view, keepAliveMs }: ApiContext): void {
  const readers = new Set<EventStream>();
  app.addHook('preClose', async () => {
    for (const stream of readers) stream.end();
  });
  app.withTypeProvider<ZodTypeProvider>().get(
    '/events',
    {
      schema: {
        summary: 'Control events as server-sent events',
        description:
          'Each message has the index of its event as `id` and `{index, event}` as data. `since`, or the header ' +
          '`Last-Event-ID` of a reconnecting reader, resumes behind an index; without either, only new events come. ' +
          'When the events behind that index are no longer kept, the first message is `{index, state}`; it comes later ' +
          'too, when this node gets its state whole from another master. The reader then begins anew from it, also ' +
          'where its index is a smaller one. The header `x-history-id` changes when the node was started again: what ' +
          'it had not written down by then has its indexes used anew, so a reader with another one begins anew as well.',
        operationId: 'events',
        tags: ['cluster'],
        querystring: z.object({ since: z.string().regex(INDEX).optional() }),
        response: {
          200: textResponse('The events', 'text/event-stream'),
          ...errorResponses('queue_full'),
        },
      },
    },
    (request, reply) => {
      if (readers.size >= LIMITS.eventReaders) {
        throw new ShoalError('queue_full', `${LIMITS.eventReaders} readers follow the events already.`);
      }
      const lastId = request.headers['last-event-id'];
      const since = typeof lastId === 'string' && INDEX.test(lastId) ? lastId : request.query.since;
      const stream = new EventStream(reply, {
        keepAliveMs,
        bufferBytes: LIMITS.streamBufferBytes,
        lingerMs: TIMES.streamLingerMs,
        // A reader that does not read loses its place and resumes when it reads again.
        onOverflow: () => reply.raw.destroy(),
      });
      readers.add(stream);
      reply.header('x-history-id', view.historyId);
      stream.write(': following\n\n');
      const stop = view.followEvents(since === undefined ? null : Number(since), ({ index, ...data }) => {
        stream.write(`id: ${index}\ndata: ${JSON.stringify({ index, ...data })}\n\n`);
      });
      const leave = () => {
        stop();
        stream.end();
        readers.delete(stream);
      };
      reply.raw.once('close', leave);
      if (reply.raw.destroyed) leave();
    },
  );
}
