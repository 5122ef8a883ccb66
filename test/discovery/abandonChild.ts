/** Makes a host with a process in it and waits to be killed. */
import { Hosts } from '../support/hosts.js';

const network = await Hosts.create({ count: 1 });
const sleeper = network.host(1).spawn('sleep', ['1000'], { stdio: 'ignore' });
process.stdout.write(`${JSON.stringify({ namespace: network.host(1).namespace, pid: sleeper.pid })}\n`);
setInterval(() => undefined, 1_000);
