/** What a process in a host prints, line by line, and waiting for it. */
import type { ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';

const LIMIT_MS = 30_000;

export class Lines {
  readonly all: string[] = [];

  constructor(child: ChildProcess) {
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.all.push(line),
    );
  }

  /** Waits for a line, of those from this place on, that is as wanted. */
  async until(what: string, isWanted: (line: string) => boolean, from = 0): Promise<string> {
    const deadline = Date.now() + LIMIT_MS;
    for (;;) {
      const line = this.all.slice(from).find(isWanted);
      if (line !== undefined) return line;
      if (Date.now() > deadline)
        throw new Error(`no ${what}; the last lines: ${this.all.slice(-10).join(' ')}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}
