/** The log of a process: JSON lines for machines, or short lines for people. Never prompts, answers or keys. */
import { Writable } from 'node:stream';
import { type Logger, pino } from 'pino';
import { LineFormatter } from './logLine.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** @default 'info' */
  readonly level?: LogLevel;
  /** JSON lines instead of lines for people. @default false */
  readonly json?: boolean;
  /** Where lines go. @default process.stderr */
  readonly stream?: NodeJS.WritableStream;
  /** Colours in lines for people. @default whether the stream is a terminal */
  readonly colours?: boolean;
}

/** Members that would carry what people say or what opens doors, wherever an object of them is logged. */
const SECRET_MEMBERS = [
  'authorization',
  'apiKey',
  'apiKeys',
  'token',
  'password',
  'prompt',
  'messages',
  'content',
  'text',
  'input',
  'body',
  'headers',
];

/** A pino logger; `log.child({ … })` adds facts to every line. */
export function createLog(options: LogOptions = {}): Logger {
  const stream = options.stream ?? process.stderr;
  const colours = options.colours ?? (stream as { isTTY?: boolean }).isTTY === true;
  return pino(
    {
      level: options.level ?? 'info',
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: {
        paths: SECRET_MEMBERS.flatMap((member) => [member, `*.${member}`]),
        censor: '[not logged]',
      },
    },
    options.json === true ? stream : forPeople(stream, new LineFormatter(colours)),
  );
}

function forPeople(stream: NodeJS.WritableStream, formatter: LineFormatter): Writable {
  return new Writable({
    decodeStrings: false,
    write(line: string | Buffer, _encoding, done) {
      stream.write(formatter.format(line.toString()));
      done();
    },
  });
}
