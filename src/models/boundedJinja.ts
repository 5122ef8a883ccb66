/**
 * Runs a Jinja template that comes with a model file, and so from a stranger. The interpreter is a library's; this
 * bounds it: template size, expressions evaluated, length of each text and list, time. One expression can take no
 * longer than its operands are large, and these are bounded, so nothing a template does can hang the process for
 * long. It still belongs into the runner only.
 */
import { LIMITS, TIMES } from '../shared/limits.js';
import {
  Environment,
  Interpreter,
  type JinjaEnvironment,
  type JinjaNode,
  type JinjaValue,
  parse,
  tokenize,
} from './jinjaLibrary.js';
import { formatTime } from './strftime.js';

/** What the template itself says against the messages, with `raise_exception`. */
export class TemplateRefusal extends Error {}

/** Characters of a text that cost as much as one expression. */
const CHARACTERS_PER_STEP = 64;
/** What one round of a loop costs by itself, in expressions. */
const STEPS_PER_ROUND = 8;

export class JinjaTemplate {
  readonly #program: JinjaNode;

  /** Throws an `Error` when the template is malformed or too large. */
  constructor(template: string) {
    if (template.length > LIMITS.templateCharacters) {
      throw new Error(`it has ${template.length} characters; ${LIMITS.templateCharacters} are allowed`);
    }
    this.#program = parse(tokenize(template, { lstrip_blocks: true, trim_blocks: true }));
  }

  /** Throws a `TemplateRefusal` when the template raises an exception, and an `Error` when it fails. */
  render(variables: Readonly<Record<string, unknown>>, now: Date): string {
    const environment = new Environment();
    const all: Record<string, unknown> = {
      true: true,
      True: true,
      false: false,
      False: false,
      none: null,
      None: null,
      range,
      raise_exception: (message: unknown) => {
        throw new TemplateRefusal(String(message));
      },
      strftime_now: (format: unknown) => formatTime(now, String(format)),
      ...variables,
    };
    for (const [name, value] of Object.entries(all)) environment.set(name, value);
    const { value } = new BoundedInterpreter(environment).run(this.#program);
    return String(value);
  }
}

/** The interpreter sends every expression and statement through `evaluate`. */
class BoundedInterpreter extends Interpreter {
  readonly #deadline = performance.now() + TIMES.templateRenderMs;
  /** Expressions that loops run over: each element costs something even when the loop is empty. */
  readonly #iterables = new WeakSet<object>();
  #steps = 0;

  override evaluate(node: JinjaNode | undefined, environment: JinjaEnvironment): JinjaValue {
    if (node !== undefined && isLoop(node)) this.#iterables.add(node.iterable.lhs ?? node.iterable);
    const value = super.evaluate(node, environment);
    this.#steps += 1 + this.#cost(node, value.value);
    if (this.#steps > LIMITS.templateSteps)
      throw new Error(`it takes more than ${LIMITS.templateSteps} steps`);
    if (performance.now() > this.#deadline)
      throw new Error(`it takes more than ${TIMES.templateRenderMs} ms`);
    return value;
  }

  #cost(node: JinjaNode | undefined, value: unknown): number {
    if (typeof value === 'string') {
      if (value.length > LIMITS.renderedPromptCharacters) {
        throw new Error(`a text in it becomes longer than ${LIMITS.renderedPromptCharacters} characters`);
      }
      const isMade = node?.type === 'CallExpression' || node?.type === 'FilterExpression';
      return isMade ? Math.floor(value.length / CHARACTERS_PER_STEP) : 0;
    }
    if (Array.isArray(value) || value instanceof Map) {
      const elements = Array.isArray(value) ? value.length : value.size;
      requireListElements(elements);
      return node !== undefined && this.#iterables.has(node) ? elements * STEPS_PER_ROUND : 0;
    }
    return 0;
  }
}

interface Loop extends JinjaNode {
  /** `lhs` when the loop has a condition (`for x in LHS if …`). */
  readonly iterable: JinjaNode & { readonly lhs?: JinjaNode };
}

function isLoop(node: JinjaNode): node is Loop {
  return node.type === 'For';
}

/** Python's `range`, with a bound. */
function range(...given: readonly unknown[]): number[] {
  const [first = 0, second, third] = given.map(Number);
  const [start, stop] = second === undefined ? [0, first] : [first, second];
  const step = third ?? 1;
  if (step === 0) throw new Error('range() step must not be zero');
  const elements = Math.max(0, Math.ceil((stop - start) / step));
  requireListElements(elements);
  return Array.from({ length: elements }, (_, index) => start + index * step);
}

function requireListElements(elements: number): void {
  if (elements <= LIMITS.templateListElements) return;
  throw new Error(`a list in it has ${elements} elements; ${LIMITS.templateListElements} are allowed`);
}
