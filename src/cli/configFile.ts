/** `config.json` in the home folder: the long option names without dashes in front, such as `{"api-port": 8080}`. */
import { existsSync, readFileSync } from 'node:fs';
import type { Command, Option } from 'commander';
import { ShoalError } from '../shared/errors.js';

/**
 * Fills in what neither flag nor environment gave.
 * @throws {ShoalError} `invalid_request` when it cannot be read, or says what is no option or no value of it
 */
export function applyConfigFile(command: Command, path: string): void {
  if (!existsSync(path)) return;
  const options = new Map(command.options.map((option) => [option.long?.slice(2), option]));
  for (const [key, value] of Object.entries(readConfig(path))) {
    const option = options.get(key);
    if (option === undefined) {
      throw new ShoalError('invalid_request', `${path}: there is no option "${key}"; see shoal up --help`);
    }
    const name = option.attributeName();
    const source = command.getOptionValueSource(name);
    if (source === 'cli' || source === 'env') continue;
    command.setOptionValueWithSource(name, parseValue(path, option, value), 'config');
  }
}

function parseValue(path: string, option: Option, value: unknown): unknown {
  const name = option.long?.slice(2);
  if (option.isBoolean() || option.negate) {
    if (typeof value !== 'boolean') {
      throw new ShoalError('invalid_request', `${path}: "${name}" must be true or false`);
    }
    return value !== option.negate;
  }
  const parse = (entry: unknown, previous: unknown): unknown => {
    if (typeof entry !== 'string' && typeof entry !== 'number') {
      throw new ShoalError('invalid_request', `${path}: "${name}" must be text or a number`);
    }
    return option.parseArg ? option.parseArg(String(entry), previous as never) : String(entry);
  };
  try {
    if (!Array.isArray(value)) return parse(value, undefined);
    return value.reduce((previous: unknown, entry) => parse(entry, previous), undefined);
  } catch (error) {
    if (error instanceof ShoalError) throw error;
    throw new ShoalError('invalid_request', `${path}: "${name}": ${(error as Error).message}`);
  }
}

function readConfig(path: string): Record<string, unknown> {
  try {
    const config: unknown = JSON.parse(readFileSync(path, 'utf8'));
    if (config !== null && typeof config === 'object' && !Array.isArray(config))
      return config as Record<string, unknown>;
    throw new Error('it must be one JSON object');
  } catch (error) {
    throw new ShoalError('invalid_request', `${path} cannot be read: ${(error as Error).message}`);
  }
}
