/** Which view is open: the fragment of the address, so that links, reload and the back button work. */
export const VIEWS = [
  { id: 'cluster', name: 'Cluster' },
  { id: 'chat', name: 'Chat' },
  { id: 'activity', name: 'Activity' },
  { id: 'connect', name: 'Connect' },
] as const;

export type ViewId = (typeof VIEWS)[number]['id'];

class Route {
  view = $state<ViewId>(read());

  constructor() {
    addEventListener('hashchange', () => {
      this.view = read();
      document.getElementById('main')?.focus({ preventScroll: true });
    });
  }
}

function read(): ViewId {
  const wanted = location.hash.slice(1);
  return VIEWS.find(({ id }) => id === wanted)?.id ?? 'cluster';
}

export const route = new Route();
