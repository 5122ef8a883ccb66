/**
 * A node that serves generations over sockets, as a process of its own: it tells its port to its parent, and answers each
 * request with `maxTokens` tokens, one every `SHOAL_TOKEN_MS` milliseconds. The text of a token is the time at which
 * it was produced, in nanoseconds of the machine's monotonic clock.
 */
import { GenerationServer } from '../../src/cluster/generations/generationServer.js';
import type { NodeId } from '../../src/shared/ids.js';
import { SocketLinks } from './socketLinks.js';
import { produceTokens } from './tokenProducer.js';

const links = await SocketLinks.listen('serving-process' as NodeId);
const tokenMs = Number(process.env.SHOAL_TOKEN_MS ?? 5);
new GenerationServer({ links, generate: (_, request) => produceTokens(request, tokenMs) });
process.on('disconnect', () => process.exit());
process.send?.(links.port);
