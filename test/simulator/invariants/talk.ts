import { type Invariant, Violation } from './contract.js';

const NAME = 'bounded-talk';
const WINDOW_MS = 1_000;
/** Far above what a burst of requests and the joining of nodes need, far below two nodes that excite each other. */
const MOST_MESSAGES = 4_000;

export const boundedTalk: Invariant = {
  name: NAME,
  meaning: 'However nodes answer each other, the words that one says in a second are bounded.',
  kind: 'safety',
  watch(world) {
    let windowEnd = 0;
    const said = new Map<string, number>();
    return {
      handled({ name }, _input, outputs) {
        if (world.time.now >= windowEnd) {
          said.clear();
          windowEnd = world.time.now + WINDOW_MS;
        }
        const count = (said.get(name) ?? 0) + outputs.filter(({ kind }) => kind === 'Send').length;
        said.set(name, count);
        if (count > MOST_MESSAGES)
          throw new Violation(NAME, `${name} says ${count} messages in ${WINDOW_MS} ms`);
      },
    };
  },
};
