// Values that several parts of the page watch, and settings that outlive it.

/** A value with listeners, called after every `set` (also of an equal value). */
export class Signal {
  #value;
  #listeners = new Set();

  constructor(value) {
    this.#value = value;
  }

  get value() {
    return this.#value;
  }

  set value(value) {
    this.#value = value;
    for (const listener of this.#listeners) listener(value);
  }

  /** Calls `listener` now and at every change; returns what ends that. */
  watch(listener) {
    this.#listeners.add(listener);
    listener(this.#value);
    return () => this.#listeners.delete(listener);
  }
}

/** A signal that the browser remembers under `name`. */
export function setting(name, initial) {
  const signal = new Signal(remembered(`layerprism.${name}`, initial));
  signal.watch((value) => remember(`layerprism.${name}`, value));
  return signal;
}

/** What is stored under `key`, or `otherwise` where nothing readable is. */
export function remembered(key, otherwise) {
  try {
    return JSON.parse(localStorage.getItem(key)) ?? otherwise;
  } catch {
    return otherwise; // storage is off, or holds what an older page wrote
  }
}

/** Stores `value` as JSON; returns whether that was possible. */
export function remember(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** The keys of everything stored; none where storage is off. */
export function storedKeys() {
  try {
    return Object.keys(localStorage);
  } catch {
    return [];
  }
}

/** A short message, shown for a few seconds and read out by screen readers: `{text, kind}` with kind info or error. */
export const notice = new Signal(null);

export function say(text, kind = 'info') {
  notice.value = { text, kind };
}
