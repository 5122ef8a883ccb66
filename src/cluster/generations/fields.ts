/** Small helpers for the schemas of what other nodes say. */
import { z } from 'zod';
import { LIMITS } from '../../shared/limits.js';

/** A check for each field of `T`: a type that grows without its check does not compile. */
export type Fields<T> = { readonly [Key in keyof T]-?: z.ZodType<T[Key]> };

/** A branded identifier. */
export function identifier<Id extends string>(): z.ZodType<Id> {
  return z.custom<Id>(
    (value) => typeof value === 'string' && value.length > 0 && value.length <= LIMITS.pathSegmentCharacters,
    `An identifier of 1 to ${LIMITS.pathSegmentCharacters} characters.`,
  );
}

/** Where it goes wrong first, and why. It quotes no value: that may be a prompt. */
export function firstProblem(error: z.ZodError): string {
  const [issue] = error.issues;
  if (issue === undefined) return 'it cannot be read';
  return `${issue.path.length === 0 ? 'the message' : `the field ${issue.path.join('.')}`}: ${issue.message}`;
}
