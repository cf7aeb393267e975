// The viewer: one sample large, its layers, what is known of it, and the verdict.

import { button, h, keepingFocus, replace } from './dom.js';
import { Camera } from './camera.js';
import { edgePlaces } from './alpha.js';
import { Facts } from './facts.js';
import { ListOrder } from './order.js';
import { LayersPanel } from './layers_panel.js';
import { Preloader } from './preload.js';
import { Looking } from './looking.js';
import { followPointer } from './pointer.js';
import { BACKGROUNDS, BASE, FIRST_LOOK, Stage, firstState } from './stage.js';
import { VERDICTS, verdictBadge, words } from './verdicts.js';
import { WHOLE } from './deciding.js';
import { api } from './api.js';
import { say, setting } from './store.js';

const AHEAD = 4;
const EDGE_SCALE = 8;

export class Viewer {
  #order = null;
  #entry = null;
  #state = null;
  #edge = { layer: null, at: -1, places: [] };
  #look = setting('look', FIRST_LOOK);

  /** @param reasons the palette; @param onClose takes the index in the grid, or -1. */
  constructor(root, { session, keymap, deciding, reasons, onClose }) {
    Object.assign(this, { root, keymap, deciding, reasons, onClose });
    this.preloader = new Preloader((id) => api.sample(id, this.#order.queue));
    this.back = h('span');
    this.host = h('div', { class: 'stage' });
    const legend = h('div', { class: 'legend' });
    this.probe = h('output', { class: 'probe', 'aria-hidden': 'true' });
    this.title = h('h1', { class: 'sample-title', tabIndex: -1 });
    const tools = h('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Looking' });
    this.verdicts = h('div', { class: 'verdicts', role: 'group', 'aria-label': 'Verdict' });
    const layers = h('aside', { class: 'panel left', 'aria-label': 'Layers' });
    const facts = h('aside', { class: 'panel right', 'aria-label': 'About the sample' });
    root.append(
      h('header', { class: 'viewer-bar' }, this.back, this.title, tools),
      layers,
      h('div', { class: 'surround' }, this.host, legend, this.probe),
      facts,
      h('footer', { class: 'decide' }, this.verdicts),
    );
    this.camera = new Camera();
    this.stage = new Stage(this.host, this.camera);
    this.layers = new LayersPanel(layers, keymap, {
      select: (index) => this.select(index),
      toggle: (index) => this.toggle(index),
      solo: (index) => this.solo(index),
      fade: (index, opacity) => this.#fade(index, opacity),
      reject: (index) => this.rejectLayer(index),
    });
    this.facts = new Facts(facts, session, keymap, {
      caption: (layer, text) => this.#caption(layer, text),
      open: (ids, index) => this.open(new ListOrder(ids, index)),
    });
    this.looking = new Looking(tools, legend, keymap, {
      look: (change) => this.look(change),
      fit: () => this.#fit(),
      actual: () => this.#actual(),
    });
    this.#look.watch((look) => this.#applyLook(look));
    followPointer(this.stage, {
      zoom: (factor, at) => this.#zoom(factor, at),
      pan: (dx, dy) => this.#move(() => this.camera.pan(dx, dy)),
      turn: (dx, dy) => this.#turn(dx, dy),
      choose: (layer, alone) => (alone ? this.solo(layer) : this.select(layer)),
      reset: () => (this.camera.isFit ? this.#actual() : this.#fit()),
      probe: (text) => (this.probe.textContent = text),
    });
    this.#keys();
    keymap.changes.watch(() => {
      replace(
        this.back,
        button('Grid', { key: keymap.label('close'), title: 'Back to the grid', onclick: () => this.close() }),
      );
      this.#drawLooking();
      this.#redraw();
    });
  }

  get isOpen() {
    return !this.root.hidden;
  }

  get id() {
    return this.#entry?.detail.id;
  }

  get queue() {
    return this.#order.queue;
  }

  /** Shows the sample at which `order` stands. */
  async open(order) {
    this.#order = order;
    this.root.hidden = false;
    this.keymap.view = 'viewer';
    if (order.id === undefined && !(await order.move(1))) {
      say('Nothing is left in this queue.');
      this.close();
      return;
    }
    await this.#show();
    this.title.focus({ preventScroll: true });
  }

  close() {
    this.root.hidden = true;
    this.onClose(this.#order?.index ?? -1);
  }

  /** Goes `step` samples on; says so where there is none. */
  async move(step) {
    const pressed = performance.now();
    if (!(await this.#order.move(step))) {
      say(step > 0 ? 'That was the last one.' : 'This is the first one.');
      return;
    }
    await this.#show(pressed);
  }

  /** After undo or redo: to the sample it was about, where the order still leads there. */
  async goBackTo(id) {
    this.#order.reopened(id);
    if (this.id !== id && this.#order.find(id)) await this.#show();
  }

  /** What stands from now on for a sample, or for one of its layers: `{verdict, reasons, rating, caption}`. */
  update(id, layer, standing) {
    const entry = this.preloader.known(id);
    if (!entry) return;
    const { detail } = entry;
    const target = layer === WHOLE ? detail : detail.layers.find(({ index }) => index === layer);
    if (!target) return;
    const { verdict, reasons, rating, caption } = standing;
    Object.assign(target, { verdict, reasons, rating, new_caption: caption });
    if (entry === this.#entry) this.#redraw();
  }

  /** The server has taken in decisions on a sample: the trail, and what was hidden until then, are asked for again. */
  async acknowledged(id) {
    const entry = this.preloader.known(id);
    if (!entry) return;
    const detail = await api.sample(id, this.queue).catch(() => null); // the outbox tells when the server is gone
    if (!detail || detail.version !== entry.detail.version || this.deciding.outbox.waitsFor(id)) return;
    Object.assign(entry.detail, detail);
    if (entry === this.#entry) this.#redraw();
  }

  async #show(pressed = performance.now()) {
    const { id } = this.#order;
    const entry = this.preloader.entry(id);
    try {
      if (!entry.ready) await entry.promise;
    } catch (error) {
      say(error.message, 'error');
      return;
    }
    if (this.#order.id !== id) return; // gone on meanwhile
    this.#entry = entry;
    this.#state = firstState(entry.detail);
    this.#edge = { layer: null, at: -1, places: [] };
    this.stage.show(entry, this.#state);
    this.#drawLooking();
    this.#redraw();
    // The time from the key to the picture, for the browser's own tools and the benchmark.
    requestAnimationFrame(() =>
      setTimeout(() => performance.measure('layerprism-next-sample', { start: pressed, end: performance.now() })),
    );
    this.preloader.hint(this.#order.peek(AHEAD));
    if (entry.failed.size) say(`${entry.failed.size} of its images cannot be shown.`, 'error');
  }

  #redraw() {
    if (!this.#entry) return;
    const { detail } = this.#entry;
    const draft = this.deciding.draft(detail.id);
    this.stage.apply();
    this.layers.show(detail, this.stage);
    this.facts.show(detail, this.#state, draft);
    this.host.setAttribute('aria-label', `Picture of ${detail.id}: ${detail.caption}`);
    this.host.setAttribute('role', 'img');
    replace(
      this.title,
      detail.id,
      h('span', { class: 'quiet' }, ` · ${words(detail.style)} · ${detail.canvas.join(' × ')} · ${this.#order.place}`),
      ' ',
      detail.verdict
        ? h('span', { class: `badge ${detail.verdict}` }, verdictBadge(detail.verdict).textContent, ' ', detail.verdict)
        : null,
    );
    keepingFocus(this.verdicts, () => this.#drawVerdicts(detail, draft));
  }

  #drawVerdicts(detail, draft) {
    const rating = draft.rating ?? detail.rating;
    replace(
      this.verdicts,
      button('Undo', {
        key: this.keymap.label('undo'),
        class: 'quiet-button',
        disabled: !this.deciding.canUndo,
        onclick: () => this.keymap.run('undo'),
      }),
      h(
        'span',
        { class: 'rating', role: 'group', 'aria-label': 'Rating' },
        ...[1, 2, 3, 4, 5].map((stars) =>
          button('★', {
            class: rating >= stars ? 'star lit' : 'star',
            title: `Rate ${stars} (${this.keymap.label(`rate${stars}`)})`,
            'aria-label': `Rate ${stars}`,
            pressed: rating === stars,
            onclick: () => this.rate(stars),
          }),
        ),
      ),
      h(
        'span',
        { class: 'chosen-reasons' },
        ...(detail.reasons ?? []).map((reason) => h('span', { class: 'flag' }, words(reason))),
      ),
      button('Reasons …', {
        key: this.keymap.label('reasons'),
        title: 'Reject with reasons',
        onclick: () => this.askReasons(),
      }),
      ...['reject', 'skip', 'keep', 'pro'].map((name) => {
        const { title, sign } = VERDICTS.find((verdict) => verdict.name === name);
        return button(`${sign} ${title}`, {
          key: this.keymap.label(name),
          title,
          class: `verdict ${name}`,
          pressed: detail.verdict === name,
          onclick: () => this.decide(name),
        });
      }),
    );
  }

  // Deciding.

  #before(layer = WHOLE) {
    const { detail } = this.#entry;
    const of = layer === WHOLE ? detail : detail.layers.find(({ index }) => index === layer);
    return { verdict: of.verdict, reasons: of.reasons ?? [], rating: of.rating ?? null, caption: of.new_caption ?? '' };
  }

  /** Decides on the whole sample and goes on to the next. */
  decide(verdict, reasons = []) {
    if (!this.#entry) return;
    this.#order.decided(this.id);
    this.deciding.decide([{ id: this.id, before: this.#before() }], { verdict, reasons, queue: this.queue });
    this.move(1);
  }

  askReasons() {
    const { detail } = this.#entry;
    this.reasons.ask(`Why is ${detail.id} rejected?`, 'whole', detail.reasons ?? [], (names) =>
      this.decide('reject', names),
    );
  }

  rejectLayer(index = this.#state.selected, reasons = []) {
    if (index === BASE) {
      say('The base image cannot be rejected alone: reject the sample.');
      return;
    }
    const before = this.#before(index);
    const verdict = before.verdict === 'reject' && !reasons.length ? 'keep' : 'reject';
    this.#state.selected = index;
    this.deciding.decide([{ id: this.id, before }], { verdict, reasons, queue: this.queue, layer: index });
    say(
      verdict === 'reject' ? `Layer ${index} is rejected: the picture is shown without it.` : `Layer ${index} is back.`,
    );
  }

  #askLayerReasons() {
    const { selected } = this.#state;
    if (selected === BASE) this.rejectLayer();
    else
      this.reasons.ask(`Why is layer ${selected} rejected?`, 'layer', [], (names) => this.rejectLayer(selected, names));
  }

  rate(rating) {
    this.deciding.amend({ id: this.id, before: this.#before() }, { rating }, { queue: this.queue });
    this.#redraw();
  }

  #caption(layer, caption) {
    this.deciding.amend({ id: this.id, before: this.#before(layer) }, { caption }, { layer, queue: this.queue });
    this.#redraw();
  }

  // Layers.

  select(index) {
    this.#state.selected = index;
    this.#redraw();
  }

  toggle(index = this.#state.selected) {
    const { hidden } = this.#state;
    if (!hidden.delete(index)) hidden.add(index);
    this.#state.solo = null;
    this.#redraw();
  }

  solo(index = this.#state.selected) {
    this.#state.solo = this.#state.solo === index ? null : index;
    this.#state.selected = index;
    this.#redraw();
  }

  #fade(index, opacity) {
    this.#state.opacity.set(index, opacity);
    this.stage.apply();
  }

  #step(way) {
    const order = [BASE, ...this.#entry.detail.layers.map(({ index }) => index)];
    const place = Math.max(0, Math.min(order.length - 1, order.indexOf(this.#state.selected) + way));
    if (this.#state.solo !== null) this.#state.solo = order[place];
    this.select(order[place]);
  }

  #fadeBy(change) {
    const { selected, opacity } = this.#state;
    this.#fade(selected, Math.max(0, Math.min(1, Math.round(((opacity.get(selected) ?? 1) + change) * 100) / 100)));
    this.#redraw();
  }

  /** Looks at the next place on the selected layer's edge, eight times as large. */
  nextEdge() {
    const { detail, images, failed } = this.#entry;
    const { selected } = this.#state;
    const layer = detail.layers.find(({ index }) => index === selected);
    if (!layer || failed.has(layer.image)) {
      say('Select a layer whose edge to look at.');
      return;
    }
    const [left, top] = layer.box;
    if (this.#edge.layer !== selected) {
      const area = [-left, -top, detail.canvas[0] - left, detail.canvas[1] - top];
      this.#edge = { layer: selected, at: -1, places: edgePlaces(images.get(layer.image), area) };
    }
    const { places } = this.#edge;
    if (!places.length) {
      say(`Layer ${selected} has no soft edge on the canvas: its alpha is 0 or 255 there.`);
      return;
    }
    this.#edge.at = (this.#edge.at + 1) % places.length;
    const [x, y] = places[this.#edge.at];
    this.camera.lookAt([left + x + 0.5, top + y + 0.5], EDGE_SCALE);
    if (this.#look.value.exploded) this.look({ exploded: false });
    this.stage.place();
    say(`Edge ${this.#edge.at + 1} of ${places.length} of layer ${selected}`);
  }

  // Looking.

  /** Changes how samples are shown, from now on. */
  look(change) {
    this.#look.value = { ...this.#look.value, ...change };
  }

  #applyLook(look) {
    this.stage.look = look;
    this.stage.apply();
    this.#drawLooking();
    if (this.#entry) this.layers.show(this.#entry.detail, this.stage);
  }

  #drawLooking() {
    this.looking.show(this.#look.value, Boolean(this.#entry?.detail.images.merged));
  }

  #move(change) {
    change();
    this.stage.place();
  }

  #fit() {
    this.#move(() => this.camera.fit());
  }

  #actual() {
    this.#move(() => this.camera.actual());
  }

  #zoom(factor, at) {
    this.#move(() => this.camera.zoomTo(this.camera.zoom * factor, at));
  }

  #turn(dx, dy) {
    const [x, y] = this.#look.value.turn;
    const within = (angle) => Math.max(-89, Math.min(89, angle));
    this.look({ turn: [within(x + dx), within(y + dy)] });
  }

  #keys() {
    const mode = (name) => () => this.look({ mode: this.#look.value.mode === name ? 'picture' : name });
    const flip = (name) => () => this.look({ [name]: !this.#look.value[name] });
    this.keymap.on('viewer', {
      ...Object.fromEntries(VERDICTS.map(({ name }) => [name, () => this.decide(name)])),
      reasons: () => this.askReasons(),
      rate1: () => this.rate(1),
      rate2: () => this.rate(2),
      rate3: () => this.rate(3),
      rate4: () => this.rate(4),
      rate5: () => this.rate(5),
      caption: () => this.facts.edit(WHOLE),
      layerCaption: () =>
        this.#state.selected === BASE
          ? say('Select a layer whose caption to edit.')
          : this.facts.edit(this.#state.selected),
      rejectLayer: () => this.rejectLayer(),
      layerReasons: () => this.#askLayerReasons(),
      layerUp: () => this.#step(1),
      layerDown: () => this.#step(-1),
      toggleLayer: () => this.toggle(),
      soloLayer: () => this.solo(),
      fainter: () => this.#fadeBy(-0.1),
      denser: () => this.#fadeBy(0.1),
      picture: () => this.look({ mode: 'picture', exploded: false }),
      matte: mode('matte'),
      heat: mode('heat'),
      difference: mode('difference'),
      merged: () => (this.#entry.detail.images.merged ? mode('merged')() : say('This sample has no merged image.')),
      explode: flip('exploded'),
      edge: () => this.nextEdge(),
      boxes: flip('boxes'),
      layoutBoxes: flip('layoutBoxes'),
      background: () =>
        this.look({
          background: BACKGROUNDS[(BACKGROUNDS.indexOf(this.#look.value.background) + 1) % BACKGROUNDS.length],
        }),
      zoomIn: () => this.#zoom(1.5),
      zoomOut: () => this.#zoom(1 / 1.5),
      fit: () => this.#fit(),
      actual: () => this.#actual(),
      next: () => this.move(1),
      previous: () => this.move(-1),
      close: () => this.close(),
    });
  }
}
