/** What a person can do about a fault: the remedy of the catalogue, in the words of somebody who looks at a page. */
import { ERRORS } from '../../src/shared/errors.js';
import type { PageFault } from './api.js';

/** Where the catalogue speaks to somebody at a command line. */
const ON_THE_PAGE: Readonly<Record<string, string>> = {
  no_instance: 'Choose a model that is served, or start this one.',
  all_instances_failed: 'Cluster shows the reason; it is being started again. Then send the message again.',
  runner_failed: 'Send the message again: the model is being started anew.',
  node_lost: 'Send the message again; Cluster shows which machines are there.',
  unauthorized: 'Enter a key that the node was started with.',
  cancelled: 'Nothing to do; send it again if it was a mistake.',
  context_length_exceeded: 'Begin a new conversation, shorten the message, or ask for fewer tokens.',
  unreachable: 'Look whether the node still runs; the page reconnects by itself.',
};

export function nextStep({ code }: Pick<PageFault, 'code'>): string {
  if (Object.hasOwn(ON_THE_PAGE, code)) return ON_THE_PAGE[code] as string;
  if (Object.hasOwn(ERRORS, code)) return ERRORS[code as keyof typeof ERRORS].remedy;
  return 'Try again; the log of the node may say more.';
}

/** Is it worth sending the same again? */
export function isRetryable({ code }: Pick<PageFault, 'code'>): boolean {
  if (code === 'unreachable') return true;
  return Object.hasOwn(ERRORS, code) && ERRORS[code as keyof typeof ERRORS].retryable;
}
