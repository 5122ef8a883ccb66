/** What the tests of the request plane share. */
import type { GenerationEvent, GenerationRequest } from '../../shared/generation.js';
import { GenerationStream } from '../../shared/generationStream.js';
import type { NodeId, RunnerId } from '../../shared/ids.js';
import type { Connect } from '../calls/testing/testNetwork.js';
import { TestNetwork } from '../calls/testing/testNetwork.js';
import { GenerationServer } from './generationServer.js';
import { RemoteGenerations } from './remoteGenerations.js';

export const RUNNER = 'runner' as RunnerId;
export const CLIENT = 'client-node' as NodeId;
export const SERVER = 'serving-node' as NodeId;

export function delta(text: string, choice = 0): GenerationEvent {
  return { kind: 'delta', choice, text, tokens: [7] };
}

export const STARTED: GenerationEvent = { kind: 'started', promptTokens: 3, cachedPromptTokens: 1 };

/** The end of an answer of one choice. */
export const ENDING: readonly GenerationEvent[] = [
  { kind: 'choice_finished', choice: 0, reason: 'stop' },
  {
    kind: 'finished',
    stats: {
      promptTokens: 3,
      cachedPromptTokens: 1,
      generatedTokens: 2,
      queueMs: 0,
      prefillMs: 1.5,
      timeToFirstTokenMs: 2,
      decodeMs: 3,
      peakMemoryBytes: 2 ** 40,
    },
  },
];

/** A generation that a test produces by hand. */
interface Produced {
  readonly runnerId: RunnerId;
  readonly request: GenerationRequest;
  readonly stream: GenerationStream;
}

/** Two nodes: clients at one, runners at the other, whose answers the test produces. */
export function twoNodes(connect?: Connect) {
  const network = new TestNetwork(connect);
  const links = network.node(CLIENT);
  const produced: Produced[] = [];
  const server = new GenerationServer({
    links: network.node(SERVER),
    generate: (runnerId, request) => {
      const stream = new GenerationStream();
      produced.push({ runnerId, request, stream });
      return stream;
    },
  });
  const remote = new RemoteGenerations({ links });
  return { network, links, produced, server, remote };
}

export async function readAll(stream: GenerationStream): Promise<GenerationEvent[]> {
  const events: GenerationEvent[] = [];
  for await (const event of stream) events.push(event);
  return events;
}

/** The code of the fault that a stream ended with; null when it finished. */
export async function endCode(stream: GenerationStream): Promise<string | null> {
  const end = await stream.ended;
  return end.kind === 'failed' ? end.fault.code : null;
}
