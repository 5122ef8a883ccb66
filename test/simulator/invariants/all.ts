/** Every invariant, safety first. */
import type { Invariant } from './contract.js';
import { endsInTime, oneEndARequest } from './endings.js';
import { oneActorAnEpoch } from './epochs.js';
import { masterReplaced, masterStays, streamsUndisturbed } from './failover.js';
import { quietWhenHealthy, servedWhenHealthy } from './health.js';
import { equalLogs, equalStates } from './logs.js';
import { balancedRouting, healthyRouting } from './routing.js';
import { settledInvariants } from './settled.js';
import { answersSurvive, wholeAnswers } from './survival.js';
import { boundedTalk } from './talk.js';
import { noDeletionUndone, noWishLost } from './wishes.js';

export const ALL_INVARIANTS: readonly Invariant[] = [
  oneActorAnEpoch,
  equalLogs,
  equalStates,
  oneEndARequest,
  wholeAnswers,
  answersSurvive,
  healthyRouting,
  balancedRouting,
  noWishLost,
  noDeletionUndone,
  quietWhenHealthy,
  masterStays,
  streamsUndisturbed,
  boundedTalk,
  masterReplaced,
  endsInTime,
  servedWhenHealthy,
  ...settledInvariants,
];
