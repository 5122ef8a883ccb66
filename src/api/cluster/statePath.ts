/**
 * The part of a state that a path names. Separators are `/` or `.`; ids may hold both (`owner/qwen2.5`), so every
 * cut of the path is tried. Only own members of plain objects and lists are reached.
 * @returns undefined when there is no such part
 */
export function statePart(state: unknown, path: string): unknown {
  if (path === '') return state;
  if (typeof state !== 'object' || state === null) return undefined;
  for (let end = 1; end <= path.length; end += 1) {
    const atCut = end === path.length || path[end] === '/' || path[end] === '.';
    if (!atCut) continue;
    const key = path.slice(0, end);
    if (!isMember(state, key)) continue;
    const part = statePart((state as Record<string, unknown>)[key], path.slice(end + 1));
    if (part !== undefined) return part;
  }
  return undefined;
}

function isMember(container: object, key: string): boolean {
  if (Array.isArray(container) && !/^\d+$/.test(key)) return false;
  return Object.hasOwn(container, key);
}
