import { testCollective } from '../testing/collectiveCompliance.js';
import { startWorld } from '../testing/startWorld.js';

testCollective('mesh', (context, worldSize) => startWorld(context, 'mesh', worldSize));
