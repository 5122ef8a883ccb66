/** What the browser keeps for the page. Browsers may refuse it (private windows, full disks): then it is kept until the page closes. */
const instead = new Map<string, string>();

export function readLocal(name: string): string | null {
  return read(() => localStorage, name);
}

/** @returns false when it lasts only as long as the page */
export function writeLocal(name: string, value: string): boolean {
  return write(() => localStorage, name, value);
}

/** For this tab alone, and gone with it: the API key. */
export function readSession(name: string): string | null {
  return read(() => sessionStorage, name);
}

export function writeSession(name: string, value: string): boolean {
  return write(() => sessionStorage, name, value);
}

function read(storage: () => Storage, name: string): string | null {
  try {
    return storage().getItem(name) ?? instead.get(name) ?? null;
  } catch {
    // The browser refuses its storage altogether.
    return instead.get(name) ?? null;
  }
}

function write(storage: () => Storage, name: string, value: string): boolean {
  try {
    storage().setItem(name, value);
    instead.delete(name);
    return true;
  } catch {
    // Refused or full: the caller learns it, and the value is not lost before the page closes.
    instead.set(name, value);
    return false;
  }
}
