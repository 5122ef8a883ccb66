/** `POST /debug/failpoints`: only on a node that was started with `--failpoints`. */
import type { FastifyInstance } from 'fastify';
import type { ZodTypeProvider } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';
import { parseFailpoint } from '../../shared/failpoints.js';
import type { NodeId, RunnerId } from '../../shared/ids.js';
import { requireNode } from '../cluster/nodes.js';
import type { ApiContext } from '../context.js';

const bodySchema = z.strictObject({
  name: z.string(),
  arg: z.union([z.string(), z.number()]).optional(),
  node_id: z.string().optional(),
  runner_id: z.string().optional(),
});

export function registerDebug(app: FastifyInstance, { failpoints, view }: ApiContext): void {
  if (failpoints === undefined) return;
  app
    .withTypeProvider<ZodTypeProvider>()
    .post('/debug/failpoints', { schema: { hide: true, body: bodySchema } }, async (request) => {
      const { name, arg, node_id: nodeId, runner_id: runnerId } = request.body;
      const failpoint = parseFailpoint(arg === undefined ? name : `${name}=${arg}`);
      if (failpoint === null) {
        throw new ShoalError('invalid_request', `There is no failpoint ${name}.`, { param: 'name' });
      }
      if (nodeId !== undefined && nodeId !== view.nodeId) requireNode(view, nodeId, 'node_id');
      const runners = await failpoints.fail(failpoint, {
        nodeId: (nodeId as NodeId | undefined) ?? null,
        runnerId: (runnerId as RunnerId | undefined) ?? null,
      });
      if (runners > 0) return { failpoint: name, runners };
      throw new ShoalError('not_found', 'There is no such runner.', { param: 'runner_id' });
    });
}
