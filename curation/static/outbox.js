// Decisions on their way to the server. Each is written down in the browser first and crossed out when the server has
// acknowledged it, so that neither a lost connection nor a closed tab loses one; sending one twice is harmless, because
// the server knows it by its `client_id`.

import { api } from './api.js';
import { Signal, remember, remembered, storedKeys } from './store.js';

const BATCH = 100;
const RETRY_MS = 1000;
const LONGEST_RETRY_MS = 15000;
// The event itself is wrong, or its sample is not there; a missing token or a busy server may pass.
const HOPELESS = new Set([400, 404, 409, 413, 422]);

export class Outbox {
  /** `{waiting, failing}`: how many decisions the server has not acknowledged, and whether it is out of reach. */
  state = new Signal({ waiting: 0, failing: false });
  #prefix;
  #waiting = [];
  #sending = false;
  #retry = RETRY_MS;

  /**
   * @param run the run's path: another run's decisions stay where they are.
   * @param onAccepted takes the server's view of the samples: id → `{verdict, …}`.
   * @param onRefused takes the message and the events that will never be accepted.
   */
  constructor(run, { onAccepted, onRefused }) {
    this.#prefix = `layerprism.outbox.${run}.`;
    this.onAccepted = onAccepted;
    this.onRefused = onRefused;
    this.#waiting = leftBehind(this.#prefix);
    this.#tell();
    this.#send();
    addEventListener('online', () => this.#send());
    addEventListener('beforeunload', (event) => {
      if (this.#waiting.length && !this.#waiting.every((entry) => entry.stored)) event.preventDefault();
    });
  }

  /** Takes one event without `client_id` and returns it with one; the request goes out at once. */
  put(event) {
    const complete = { client_id: uuid(), ...event };
    const entry = { written: Date.now(), event: complete };
    entry.stored = remember(this.#prefix + complete.client_id, entry);
    this.#waiting.push(entry);
    this.#tell();
    this.#send();
    return complete;
  }

  /** Whether the server has not acknowledged something about a sample. */
  waitsFor(id) {
    return this.#waiting.some(({ event }) => event.sample_id === id);
  }

  /** Resolves when everything put so far is acknowledged, or when the server is out of reach. */
  settled() {
    return new Promise((resolve) => {
      const stop = this.state.watch(({ waiting, failing }) => {
        if (waiting && !failing) return;
        resolve();
        queueMicrotask(() => stop());
      });
    });
  }

  async #send() {
    if (this.#sending || !this.#waiting.length) return;
    this.#sending = true;
    try {
      while (this.#waiting.length) {
        const batch = this.#waiting.slice(0, BATCH);
        const answer = await api.decide(batch.map((entry) => entry.event));
        this.#retry = RETRY_MS;
        const accepted = new Set(answer.accepted.map((row) => row.client_id));
        this.#forget((entry) => accepted.has(entry.event.client_id));
        this.onAccepted(answer.samples);
        if (!accepted.size) throw new Error('the server acknowledged nothing');
      }
      this.#tell(false);
    } catch (error) {
      if (HOPELESS.has(error.status)) this.#refuse(error);
      else this.#later();
    } finally {
      this.#sending = false;
    }
  }

  // One bad event spoils its batch: the first is given up, the others are tried again.
  #refuse(error) {
    const [first] = this.#waiting;
    this.#forget((entry) => entry === first);
    this.onRefused(error.message, first.event);
    setTimeout(() => this.#send());
  }

  #later() {
    this.#tell(true);
    setTimeout(() => this.#send(), this.#retry);
    this.#retry = Math.min(2 * this.#retry, LONGEST_RETRY_MS);
  }

  #forget(done) {
    for (const entry of this.#waiting.filter(done)) {
      if (entry.stored) localStorage.removeItem(this.#prefix + entry.event.client_id);
    }
    this.#waiting = this.#waiting.filter((entry) => !done(entry));
    this.#tell();
  }

  #tell(failing = this.state.value.failing) {
    this.state.value = { waiting: this.#waiting.length, failing: failing && this.#waiting.length > 0 };
  }
}

/** A random version-4 UUID; `crypto.randomUUID` exists on secure origins only. */
export function uuid() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

function leftBehind(prefix) {
  const entries = storedKeys()
    .filter((key) => key.startsWith(prefix))
    .map((key) => remembered(key, null))
    .filter(Boolean);
  return entries.map((entry) => ({ ...entry, stored: true })).sort((a, b) => a.written - b.written);
}
