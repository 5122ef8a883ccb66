import { ShoalError } from '../shared/errors.js';

/** What was asked of an engine cannot be right: nothing has changed, and who asked is at fault. */
export class StepRefused extends ShoalError {
  constructor(what: string) {
    super('engine_error', `A step was refused: ${what}.`);
  }
}
