/**
 * What becomes of llama.cpp's own log, which is one for the process and by default floods standard error.
 *
 * - While nothing is loaded, and while computing, it goes to a C function that does nothing. A JavaScript callback
 *   would be called from ggml's threads too, and wait there for an event loop that the computation blocks.
 * - While a model is loaded (`keepLog`), warnings and errors are kept, so that a failure can quote the last of them.
 *   Then all text comes from the loading thread itself, on the CPU backend; with a GPU device in the process drivers
 *   may log from threads of theirs, and nothing is kept.
 * - Failed assertions are not part of it: ggml prints them to standard error before it ends the process.
 * - With `SHOAL_ENGINE_LOG=1` everything goes to standard error, for diagnosis.
 */
import type { LibraryHandle } from 'koffi';
import { LIMITS } from '../../../shared/limits.js';
import { type PlainCallbacks, withLogCallback } from './callbacks.js';
import type { Address, Declarations } from './declarations.js';

const VERBOSE_VARIABLE = 'SHOAL_ENGINE_LOG';

/** `enum ggml_log_level`: a text of level `continued` belongs to the line before. */
const LEVEL = { warning: 3, error: 4, continued: 5 } as const;

export function logFunctions(declarations: Declarations, llama: LibraryHandle) {
  const c = declarations.of(llama);
  return {
    /** Also sets ggml's log. */
    set: c<(callback: Address, data: Address) => void>(
      'void llama_log_set(intptr_t callback, intptr_t data)',
    ),
  };
}

export class NativeLog {
  readonly #set: (callback: Address, data: Address) => void;
  readonly #doNothing: Address;
  readonly #verbose = process.env[VERBOSE_VARIABLE] === '1';
  #mayKeep = true;

  constructor(functions: ReturnType<typeof logFunctions>, plain: PlainCallbacks) {
    this.#set = functions.set;
    this.#doNothing = plain.doNothing;
    this.silence();
  }

  silence(): void {
    if (!this.#verbose) this.#set(this.#doNothing, 0);
  }

  /** Called when a GPU device is in the process. */
  neverKeep(): void {
    this.#mayKeep = false;
  }

  /** Runs `action` and returns its result with the warnings and errors that the library logged meanwhile. */
  keepLog<Result>(action: () => Result): { readonly result: Result; readonly lines: readonly string[] } {
    const lines: string[] = [];
    if (this.#verbose || !this.#mayKeep) return { result: action(), lines };
    let keeping = false;
    const onText = (level: number, text: string): void => {
      if (level !== LEVEL.continued) keeping = level === LEVEL.warning || level === LEVEL.error;
      if (!keeping) return;
      lines.push(text.trimEnd().slice(0, LIMITS.stderrLineCharacters));
      if (lines.length > LIMITS.stderrTailLines) lines.shift();
    };
    const result = withLogCallback(onText, (callback) => {
      this.#set(callback, 0);
      try {
        return action();
      } finally {
        this.silence();
      }
    });
    return { result, lines };
  }
}
