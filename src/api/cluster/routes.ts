/** The cluster protocol: health, state and control, from any node. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.js';
import { registerActivity } from './activity.js';
import { registerAwaitInstance } from './awaitInstance.js';
import { registerCancel } from './cancel.js';
import { registerEvents } from './events.js';
import { registerHealth } from './health.js';
import { registerInstances } from './instances.js';
import { registerMetaInstances } from './metaInstances.js';
import { registerNodes } from './nodes.js';
import { registerPlacements } from './placements.js';
import { registerState } from './state.js';

export function registerCluster(app: FastifyInstance, context: ApiContext): void {
  registerHealth(app, context);
  registerState(app, context);
  registerEvents(app, context);
  registerActivity(app, context);
  registerCancel(app, context);
  registerMetaInstances(app, context);
  registerPlacements(app, context);
  registerInstances(app, context);
  registerAwaitInstance(app, context);
  registerNodes(app, context);
}
