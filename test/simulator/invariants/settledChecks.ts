import type { World } from '../world.js';

export interface SettledCheck {
  readonly name: string;
  readonly meaning: string;
  /** What is not so; null when all is well. */
  readonly problem: (world: World) => string | null;
}
