/**
 * The parts of the Jinja library that are used, with types: its own declarations import each other without file
 * endings, which Node's module resolution does not follow.
 */
import * as library from '@huggingface/jinja';

export interface JinjaNode {
  readonly type: string;
}

/** A value while a template runs: a text, a number, a list (`value` is an array), an object (a map), … */
export interface JinjaValue {
  readonly type: string;
  readonly value: unknown;
}

export interface JinjaEnvironment {
  set(name: string, value: unknown): void;
}

interface JinjaInterpreter {
  run(program: JinjaNode): JinjaValue;
  /** Every statement and expression goes through here. */
  evaluate(node: JinjaNode | undefined, environment: JinjaEnvironment): JinjaValue;
}

interface JinjaLibrary {
  readonly Environment: new () => JinjaEnvironment;
  readonly Interpreter: new (environment: JinjaEnvironment) => JinjaInterpreter;
  tokenize(template: string, options: { lstrip_blocks: boolean; trim_blocks: boolean }): unknown;
  parse(tokens: unknown): JinjaNode;
}

const typed: JinjaLibrary = library as unknown as JinjaLibrary;

export const { Environment, Interpreter, tokenize, parse } = typed;
