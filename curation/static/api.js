// The routes of the server. What they take and give stands in docs/review.md.

/** What the server, or the way to it, refused: `message` is for people, `status` is 0 when no answer came. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

export const api = {
  session: () => get('/api/session'),
  setSession: (change) => post('/api/session', change),
  query: (filter, signal) => post('/api/query', filter, signal),
  rows: (query, start, count, signal) => get(`/api/query/${query}/rows`, { start, count }, signal),
  histogram: (query, score, signal) => get(`/api/query/${query}/histogram`, { score }, signal),
  sample: (id, queue = '') => get(`/api/sample/${encodeURIComponent(id)}`, { queue }),
  decide: (events) => post('/api/decisions', { events }),
  bulk: (request) => post('/api/bulk', request),
  undoBulk: (undo) => post('/api/bulk/undo', { undo }),
  next: (queue, count) => get('/api/next', { queue, count }),
  agreement: () => get('/api/agreement'),
  importDecisions: (file) =>
    send('/api/import', { method: 'POST', body: file, headers: { 'Content-Type': decisionsType(file) } }),
  comparePair: () => get('/api/compare/next'),
  compareAnswer: (answer) => post('/api/compare/answers', answer),
  compareResults: () => get('/api/compare/results'),
};

/** The address under which decisions are downloaded. */
export function exportUrl(format) {
  return `/api/export?format=${format}`;
}

// Browsers know no type for Parquet.
function decisionsType({ name }) {
  return name.endsWith('.csv') ? 'text/csv' : 'application/vnd.apache.parquet';
}

function get(path, parameters = {}, signal) {
  const given = Object.entries(parameters).filter(([, value]) => value !== '' && value !== undefined);
  const text = new URLSearchParams(given).toString();
  return send(text ? `${path}?${text}` : path, { signal });
}

function post(path, body, signal) {
  return send(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'Content-Type': 'application/json' },
    signal,
  });
}

async function send(path, options) {
  let response;
  try {
    response = await fetch(path, { credentials: 'same-origin', ...options });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    throw new ApiError('The server does not answer.', 0);
  }
  const text = await response.text();
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    body = { error: `The server answered ${response.status} without an explanation.` };
  }
  if (!response.ok) throw new ApiError(body.error ?? `The server answered ${response.status}.`, response.status);
  return body;
}
