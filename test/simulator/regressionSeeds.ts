/** Schedules that once broke a promise. Each stays, with what it found; a new one is added when a seed fails. */
import type { SimulationOptions } from './plan.js';

export interface RegressionSeed extends SimulationOptions {
  readonly found: string;
}

export const REGRESSION_SEEDS: readonly RegressionSeed[] = [
  {
    seed: 1,
    minutes: 1,
    declares: false,
    found:
      'A follower came to have the log without an entry, and its worker did not hear that the state counts.',
  },
  {
    seed: 6,
    minutes: 1,
    declares: false,
    found: 'Two nodes that did not hear each other answered every pulse with a pulse, without end.',
  },
  {
    seed: 22,
    minutes: 1,
    declares: false,
    found:
      'A master that gave way told of the instances on its own machine only; others that it had accepted were lost.',
  },
  {
    seed: 329,
    minutes: 1,
    declares: false,
    found:
      'A master that had stood still answered a need before it heard the join, and its snapshot buried a wish.',
  },
  {
    seed: 371,
    minutes: 1.2,
    declares: false,
    found: 'A pulse that came late took a follower out for good: it stayed suspect.',
  },
  {
    seed: 139,
    minutes: 1,
    declares: false,
    found: 'Two masters had placed one request in two places; when they met, it ran and ended in both.',
  },
  {
    seed: 10_300,
    minutes: 1.2,
    declares: false,
    found: 'A master that had stood still dropped commands, which were then sent again too late.',
  },
  {
    seed: 63_146,
    minutes: 1.2,
    declares: false,
    found:
      'A command kept by a master that stood still placed a request whose node had died meanwhile: it ran for ever.',
  },
  {
    seed: 11,
    minutes: 1,
    declares: false,
    found:
      'A master that went on counted those who had followed it before, and took the rule back from a healthy one.',
  },
  {
    seed: 1_029,
    minutes: 1.5,
    found: 'That one instance of a wish served took the pause from another, which was tried again at once.',
  },
  {
    seed: 1_268,
    minutes: 1.5,
    found:
      'A failure that the master of the other side of a partition had counted was not counted on this one.',
  },
  {
    seed: 1_350,
    minutes: 1.5,
    found:
      'A master that was killed before its disk had a deletion came back, and gave its log to a follower that had slept.',
  },
  {
    seed: 50_076,
    minutes: 1.5,
    found: 'An instance that its node had never heard of counted as begun once that node was started anew.',
  },
  {
    seed: 60_097,
    minutes: 1.5,
    found:
      'A cut cable of the simulator let what was sent after the cut overtake what was on the way: an answer without tokens.',
  },
  {
    seed: 5_319,
    minutes: 1.5,
    found: 'Places that were not there yet used up the moves of a request, and its answer ended.',
  },
  {
    seed: 61_113,
    minutes: 1.5,
    found:
      'A new master lacked the instance that a request had lost, and ended it, when its maker was about to ask for it again.',
  },
  {
    seed: 62_490,
    minutes: 1.5,
    found:
      'A node came back without the end of its log and gave away memory of an instance that waited for its next attempt; both stood there.',
  },
  {
    seed: 102_592,
    minutes: 1.5,
    found:
      'The log of an older master had runners that their node had replaced and forgotten: nobody said that they had ended, and the wish waited for that for good.',
  },
  {
    seed: 207_522,
    minutes: 0.75,
    nodes: 3,
    faults: ['sleep'],
    found:
      'A node began at once what two masters had placed on it, more than it offers; and what has begun nobody takes away.',
  },
];
