/** Declares C functions by their signature, and keeps a list of those that the library does not have. */
import type { LibraryHandle } from 'koffi';

/** An address in this process's memory; 0 is the null pointer. User addresses fit a double exactly. */
export type Address = number;

type Callable = (...parameters: never[]) => unknown;

export class Declarations {
  /** Names of functions that were declared and not found. */
  readonly missing: string[] = [];

  /** A declarer for one library: gives the C signature the TypeScript type that is named. */
  of(library: LibraryHandle): <Type extends Callable>(signature: string) => Type {
    return <Type extends Callable>(signature: string): Type => {
      try {
        return library.func(signature) as unknown as Type;
      } catch (error) {
        if (!String(error).includes('Cannot find function')) throw error;
        this.missing.push(/(\w+)\s*\(/.exec(signature)?.[1] ?? signature);
        return (() => {
          throw new Error(`not in this library: ${signature}`);
        }) as unknown as Type;
      }
    };
  }
}
