/** Every invariant, safety first. */

import { attemptsBackOff, failureCountedOnce } from './attempts.js';
import type { Invariant } from './contract.js';
import { nothingLeftOfDeleted } from './declared.js';
import { endsInTime, oneEndARequest } from './endings.js';
import { oneActorAnEpoch } from './epochs.js';
import { masterReplaced, masterStays, streamsUndisturbed } from './failover.js';
import { quietWhenHealthy, servedWhenHealthy } from './health.js';
import { equalLogs, equalStates } from './logs.js';
import { memoryGivenOnce } from './memory.js';
import { balancedRouting, healthyRouting } from './routing.js';
import { settledInvariants } from './settled.js';
import { answersSurvive, requestsWait, wholeAnswers } from './survival.js';
import { boundedTalk } from './talk.js';
import { noDeletionUndone, noMetaInstanceBack, noMetaInstanceLost, noWishLost } from './wishes.js';

export const ALL_INVARIANTS: readonly Invariant[] = [
  oneActorAnEpoch,
  equalLogs,
  equalStates,
  oneEndARequest,
  wholeAnswers,
  answersSurvive,
  requestsWait,
  healthyRouting,
  balancedRouting,
  noWishLost,
  noDeletionUndone,
  noMetaInstanceLost,
  noMetaInstanceBack,
  nothingLeftOfDeleted,
  memoryGivenOnce,
  failureCountedOnce,
  attemptsBackOff,
  quietWhenHealthy,
  masterStays,
  streamsUndisturbed,
  boundedTalk,
  masterReplaced,
  endsInTime,
  servedWhenHealthy,
  ...settledInvariants,
];
