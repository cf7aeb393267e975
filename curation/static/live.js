// News from the server: what others decide, and what a run that is still being written has finished.

const PAUSE_MS = 3000;

/**
 * Listens while the page is in view: a browser allows six connections to one server, and hidden tabs would use them up.
 *
 * @param on takes handlers by the event's name; each gets the parsed data.
 */
export function listen(on) {
  let source = null;
  const open = () => {
    source = new EventSource('/api/events');
    for (const [name, handler] of Object.entries(on))
      source.addEventListener(name, (event) => handler(JSON.parse(event.data)));
    source.addEventListener('error', () => {
      if (source?.readyState === EventSource.CLOSED) setTimeout(() => source && (close(), follow()), PAUSE_MS);
    });
  };
  const close = () => {
    source?.close();
    source = null;
  };
  const follow = () => {
    if (document.hidden) close();
    else if (!source) open();
  };
  document.addEventListener('visibilitychange', follow);
  follow();
}
