/** The cluster protocol: health, state and control of this node. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from '../context.js';
import { registerCancel } from './cancel.js';
import { registerEvents } from './events.js';
import { registerHealth } from './health.js';
import { registerState } from './state.js';
import { registerWelcome } from './welcome.js';

export function registerCluster(app: FastifyInstance, context: ApiContext): void {
  registerHealth(app, context);
  registerState(app, context);
  registerEvents(app, context);
  registerCancel(app, context);
  registerWelcome(app);
}
