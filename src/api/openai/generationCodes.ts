import type { ErrorCode } from '../../shared/errors.js';

/** What can go wrong with a generation before its first byte. */
export const GENERATION_CODES: readonly ErrorCode[] = [
  'unsupported_parameter',
  'context_length_exceeded',
  'template_error',
  'model_unsupported',
  'placement_impossible',
  'model_not_found',
  'no_instance',
  'request_too_large',
  'unsupported_media_type',
  'queue_full',
  'cancelled',
  'engine_error',
  'engine_unavailable',
  'model_load_failed',
  'runner_failed',
  'all_instances_failed',
  'not_ready',
  'deadline_exceeded',
];
