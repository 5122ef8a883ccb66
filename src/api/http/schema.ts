/** Zod schemas at the door: how a broken rule becomes a coded fault, and the building bricks that all routes share. */
import type { FastifySchemaCompiler } from 'fastify';
import { z } from 'zod';
import { ShoalError } from '../../shared/errors.js';

type Issue = z.core.$ZodIssue;

/** Validates with zod; the first broken rule is thrown as a `ShoalError` that names the field. */
export const validatorCompiler: FastifySchemaCompiler<z.ZodType> =
  ({ schema }) =>
  (data) => {
    const result = schema.safeParse(data);
    return result.success ? { value: result.data } : { error: toShoalError(result.error.issues) };
  };

/** Answers are made by our own code and checked by tests: schemas describe them, and cost nothing at run time. */
export const serializerCompiler = () => (data: unknown) => JSON.stringify(data);

/**
 * A known parameter that is not honoured: refused by name, except for values that ask for nothing.
 * @param isNeutral which values beyond null and absence change nothing
 */
export function refused(
  description: string,
  isNeutral: (value: unknown) => boolean = () => false,
): z.ZodOptional<z.ZodUnknown> {
  return z
    .unknown()
    .superRefine((value, context) => {
      if (value === null || value === undefined || isNeutral(value)) return;
      context.addIssue({ code: 'custom', message: description, params: { code: 'unsupported_parameter' } });
    })
    .optional()
    .describe(`Not honoured: refused with \`unsupported_parameter\`. ${description}`);
}

export const isFalse = (value: unknown): boolean => value === false;
export const isEmptyList = (value: unknown): boolean => Array.isArray(value) && value.length === 0;
export const isOneOf =
  (...neutral: readonly unknown[]) =>
  (value: unknown): boolean =>
    neutral.includes(value);

/** A list whose length is checked before its items, so that a huge list costs nothing. */
export function boundedArray<Item extends z.ZodType>(item: Item, minimum: number, maximum: number) {
  return z.preprocess((value, context) => {
    if (Array.isArray(value) && value.length > maximum) {
      context.addIssue({ code: 'custom', message: `It has ${value.length} items; ${maximum} are allowed.` });
    }
    return value;
  }, z.array(item).min(minimum).max(maximum));
}

/** Reports `message` for a field from within a refinement of the object that holds it. */
export function addFieldIssue(context: z.core.$RefinementCtx, field: string, message: string): void {
  context.addIssue({ code: 'custom', path: [field], message });
}

function toShoalError(issues: readonly Issue[]): ShoalError {
  const { issue, path } = deepest(issues[0] as Issue, []);
  if (issue.code === 'unrecognized_keys') {
    const param = fieldName([...path, issue.keys[0] as string]);
    return new ShoalError('invalid_request', `Unknown parameter: \`${param}\`. Leave it out.`, { param });
  }
  const param = fieldName(path);
  const code =
    issue.code === 'custom' && issue.params?.code === 'unsupported_parameter'
      ? 'unsupported_parameter'
      : 'invalid_request';
  const where = param === '' ? 'The request body' : `\`${param}\``;
  const what = code === 'unsupported_parameter' ? 'is not supported' : 'is not valid';
  return new ShoalError(code, `${where} ${what}: ${issue.message}`, param === '' ? {} : { param });
}

interface Located {
  readonly issue: Issue;
  readonly path: readonly PropertyKey[];
}

/**
 * Of the alternatives of a union, the one that went furthest is the one that was meant; of those that went as far, one
 * of the value's own type. When it is of no type that is taken, all of them are named.
 */
function deepest(issue: Issue, prefix: readonly PropertyKey[]): Located {
  const path = [...prefix, ...issue.path];
  if (issue.code !== 'invalid_union') return { issue, path };
  const candidates = issue.errors.flatMap(([first]) => (first === undefined ? [] : [deepest(first, path)]));
  const depth = Math.max(path.length, ...candidates.map((candidate) => candidate.path.length));
  const furthest = candidates.filter((candidate) => candidate.path.length === depth);
  const meant = furthest.find((candidate) => candidate.issue.code !== 'invalid_type');
  return meant ?? mergeTypes(furthest) ?? { issue, path };
}

function mergeTypes(wrong: readonly Located[]): Located | undefined {
  const [first] = wrong;
  if (first === undefined) return undefined;
  const types = wrong.flatMap(({ issue }) => (issue.code === 'invalid_type' ? [issue.expected] : []));
  const message = `Invalid input: expected ${[...new Set(types)].join(' or ')}`;
  return { ...first, issue: { ...first.issue, message } };
}

const SHOWN_KEY_CHARACTERS = 64;

/** A path in OpenAI's spelling: `messages[0].content`. */
function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const part of path) {
    if (typeof part === 'number') name += `[${part}]`;
    else name += `${name === '' ? '' : '.'}${String(part).slice(0, SHOWN_KEY_CHARACTERS)}`;
  }
  return name;
}
