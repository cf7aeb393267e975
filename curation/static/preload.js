// Samples with their images decoded ahead of the moment when they are looked at.

const KEPT = 10;

export class Preloader {
  #entries = new Map(); // sample id → entry, the least recently asked for first

  /** @param load takes a sample id, gives a promise of its details. */
  constructor(load) {
    this.load = load;
  }

  /** The entry of a sample: `promise` of itself, `ready`, `detail`, `images` by address, `failed` addresses. */
  entry(id) {
    const known = this.#entries.get(id);
    this.#entries.delete(id);
    const entry = known ?? this.#start(id);
    this.#entries.set(id, entry);
    for (const [other] of this.#entries) {
      if (this.#entries.size <= KEPT) break;
      this.#entries.delete(other);
    }
    return entry;
  }

  /** Loads samples before they are needed. */
  hint(ids) {
    for (const id of ids) this.entry(id).promise.catch(() => {}); // whoever opens it is told
  }

  /** The entry of a sample that is loaded, or undefined. */
  known(id) {
    const entry = this.#entries.get(id);
    return entry?.detail ? entry : undefined;
  }

  #start(id) {
    const entry = { ready: false, detail: null, images: new Map(), failed: new Set() };
    entry.promise = this.#fill(entry, id).catch((error) => {
      this.#entries.delete(id);
      throw error;
    });
    return entry;
  }

  async #fill(entry, id) {
    entry.detail = await this.load(id);
    const { images, layers } = entry.detail;
    await Promise.all([images.base, ...layers.map((layer) => layer.image)].map((address) => decode(entry, address)));
    entry.ready = true;
    return entry;
  }
}

/** Loads and decodes one more image of an entry. One that cannot be shown, or has no address, is among `failed`. */
export async function decode(entry, address) {
  if (entry.images.has(address)) return;
  if (!address) {
    entry.failed.add(address);
    return;
  }
  const image = new Image();
  image.alt = '';
  image.draggable = false;
  image.src = address;
  entry.images.set(address, image);
  try {
    await image.decode();
  } catch {
    entry.failed.add(address);
  }
}
