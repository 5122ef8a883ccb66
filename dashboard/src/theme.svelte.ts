/** Light, dark, or as the system says; kept by the browser. */
import { readLocal, writeLocal } from './storage.js';

export type Theme = 'system' | 'light' | 'dark';
const NAME = 'shoal.theme';

class ThemeChoice {
  current = $state<Theme>('system');
}

export const theme = new ThemeChoice();

export function applyTheme(): void {
  const kept = readLocal(NAME);
  theme.current = kept === 'light' || kept === 'dark' ? kept : 'system';
  show();
}

/** System, light, dark, and from the beginning. */
export function nextTheme(): void {
  theme.current = theme.current === 'system' ? 'light' : theme.current === 'light' ? 'dark' : 'system';
  writeLocal(NAME, theme.current);
  show();
}

function show(): void {
  if (theme.current === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme.current;
}
