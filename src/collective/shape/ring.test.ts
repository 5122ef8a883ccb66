import { testCollective } from '../testing/collectiveCompliance.js';
import { startWorld } from '../testing/startWorld.js';

testCollective('ring', (context, worldSize) => startWorld(context, 'ring', worldSize));
