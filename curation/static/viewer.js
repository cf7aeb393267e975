// The viewer: one sample large, its layers, what is known of it, and the verdict.

import { button, h, keepingFocus, replace } from './dom.js';
import { Camera } from './camera.js';
import { edgePlaces } from './alpha.js';
import { Facts } from './facts.js';
import { LayersPanel } from './layers_panel.js';
import { Preloader } from './preload.js';
import { BACKGROUNDS, BASE, FIRST_LOOK, MODES, Stage, firstState } from './stage.js';
import { VERDICTS, verdictBadge, words } from './verdicts.js';
import { WHOLE } from './deciding.js';
import { api } from './api.js';
import { say, setting } from './store.js';

const AHEAD = 4;
const EDGE_SCALE = 8;
const MODE_TITLES = { picture: 'Picture', matte: 'Matte', heat: 'Heat', difference: 'Difference', merged: 'Merged' };

export class Viewer {
  #order = null;
  #entry = null;
  #state = null;
  #edge = { layer: null, at: -1, places: [] };
  #drag = null;
  #look = setting('look', FIRST_LOOK);

  /** @param reasons the palette; @param onClose takes the index in the grid, or -1. */
  constructor(root, { session, keymap, deciding, reasons, onClose }) {
    Object.assign(this, { root, keymap, deciding, reasons, onClose });
    this.preloader = new Preloader((id) => api.sample(id, this.#order.queue));
    this.back = h('span');
    this.host = h('div', { class: 'stage' });
    this.legend = h('div', { class: 'legend' });
    this.probe = h('output', { class: 'probe', 'aria-hidden': 'true' });
    this.title = h('h1', { class: 'sample-title', tabIndex: -1 });
    this.tools = h('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Looking' });
    this.verdicts = h('div', { class: 'verdicts', role: 'group', 'aria-label': 'Verdict' });
    const layers = h('aside', { class: 'panel left', 'aria-label': 'Layers' });
    const facts = h('aside', { class: 'panel right', 'aria-label': 'About the sample' });
    root.append(
      h('header', { class: 'viewer-bar' }, this.back, this.title, this.tools),
      layers,
      h('div', { class: 'surround' }, this.host, this.legend, this.probe),
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
      open: async (ids, index) => this.open(new (await import('./order.js')).ListOrder(ids, index)),
    });
    this.#look.watch((look) => this.#applyLook(look));
    this.#listen();
    this.#keys();
    keymap.changes.watch(() => {
      replace(this.back, button('Grid', { key: keymap.label('close'), title: 'Back to the grid', onclick: () => this.close() }));
      this.#drawTools(this.#look.value);
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

  /** What was decided elsewhere, taken back or acknowledged about a sample: `{verdict, …}` of a layer or the whole. */
  update(id, layer, standing) {
    if (this.#entry?.detail.id !== id) {
      this.preloader.forget(id);
      return;
    }
    const { detail } = this.#entry;
    const target = layer === WHOLE ? detail : detail.layers.find(({ index }) => index === layer);
    if (!target) return;
    const { verdict, reasons, rating, caption } = standing;
    Object.assign(target, { verdict, reasons: reasons ?? [], rating: rating ?? target.rating ?? null, new_caption: caption ?? target.new_caption });
    this.#redraw();
  }

  /** The server has taken in decisions on a sample: the trail, and what was hidden until then, are asked for again. */
  async acknowledged(id) {
    if (this.id !== id || !this.isOpen) {
      this.preloader.forget(id);
      return;
    }
    const entry = this.#entry;
    const detail = await api.sample(id, this.queue).catch(() => null); // the outbox tells when the server is gone
    if (!detail || entry !== this.#entry || detail.version !== entry.detail.version) return;
    Object.assign(entry.detail, detail);
    this.#redraw();
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
    this.#redraw();
    // The time from the key to the picture, for the browser's own tools and the benchmark.
    requestAnimationFrame(() => setTimeout(() => performance.measure('layerprism-next-sample', { start: pressed, end: performance.now() })));
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
    replace(this.title, detail.id, h('span', { class: 'quiet' }, ` · ${words(detail.style)} · ${detail.canvas.join(' × ')} · ${this.#order.place}`), ' ', detail.verdict ? h('span', { class: `badge ${detail.verdict}` }, verdictBadge(detail.verdict).textContent, ' ', detail.verdict) : null);
    keepingFocus(this.verdicts, () => this.#drawVerdicts(detail, draft));
  }

  #drawVerdicts(detail, draft) {
    const rating = draft.rating ?? detail.rating;
    replace(
      this.verdicts,
      button('Undo', { key: this.keymap.label('undo'), class: 'quiet-button', disabled: !this.deciding.canUndo, onclick: () => this.keymap.run('undo') }),
      h('span', { class: 'rating', role: 'group', 'aria-label': 'Rating' }, ...[1, 2, 3, 4, 5].map((stars) => button('★', { class: rating >= stars ? 'star lit' : 'star', title: `Rate ${stars} (${this.keymap.label(`rate${stars}`)})`, 'aria-label': `Rate ${stars}`, pressed: rating === stars, onclick: () => this.rate(stars) }))),
      h('span', { class: 'chosen-reasons' }, ...(detail.reasons ?? []).map((reason) => h('span', { class: 'flag' }, words(reason)))),
      button('Reasons …', { key: this.keymap.label('reasons'), title: 'Reject with reasons', onclick: () => this.askReasons() }),
      ...['reject', 'skip', 'keep', 'pro'].map((name) => {
        const { title, sign } = VERDICTS.find((verdict) => verdict.name === name);
        return button(`${sign} ${title}`, { key: this.keymap.label(name), title, class: `verdict ${name}`, pressed: detail.verdict === name, onclick: () => this.decide(name) });
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
    this.reasons.ask(`Why is ${detail.id} rejected?`, 'whole', detail.reasons ?? [], (names) => this.decide('reject', names));
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
    say(verdict === 'reject' ? `Layer ${index} is rejected: the picture is shown without it.` : `Layer ${index} is back.`);
  }

  #askLayerReasons() {
    const { selected } = this.#state;
    if (selected === BASE) this.rejectLayer();
    else this.reasons.ask(`Why is layer ${selected} rejected?`, 'layer', [], (names) => this.rejectLayer(selected, names));
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
    if (this.#edge.layer !== selected) this.#edge = { layer: selected, at: -1, places: edgePlaces(images.get(layer.image)) };
    const { places } = this.#edge;
    if (!places.length) {
      say(`Layer ${selected} has no soft edge: its alpha is 0 or 255 everywhere.`);
      return;
    }
    this.#edge.at = (this.#edge.at + 1) % places.length;
    const [x, y] = places[this.#edge.at];
    this.camera.lookAt([layer.box[0] + x, layer.box[1] + y], EDGE_SCALE);
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
    keepingFocus(this.tools, () => this.#drawTools(look));
    this.#drawLegend(look);
    if (this.#entry) this.layers.show(this.#entry.detail, this.stage);
  }

  #drawTools(look) {
    const tool = (label, action, pressed, change) => button(label, { key: this.keymap.label(action), pressed, onclick: () => this.look(change) });
    const modes = MODES.filter((mode) => mode !== 'merged' || this.#entry?.detail.images.merged || look.mode === 'merged');
    const own = h('input', { type: 'color', value: look.ownColor, 'aria-label': 'Any colour behind', title: 'Any colour behind', oninput: (event) => this.look({ background: 'own', ownColor: event.target.value }) });
    replace(
      this.tools,
      h('span', { class: 'joined' }, ...modes.map((mode) => (mode === 'merged' ? button('Merged', { pressed: look.mode === mode, onclick: () => this.look({ mode }) }) : tool(MODE_TITLES[mode], mode, look.mode === mode, { mode })))),
      tool('Explode', 'explode', look.exploded, { exploded: !look.exploded }),
      h('span', { class: 'joined' }, tool('Boxes', 'boxes', look.boxes, { boxes: !look.boxes }), tool('Layout', 'layoutBoxes', look.layoutBoxes, { layoutBoxes: !look.layoutBoxes })),
      h(
        'span',
        { class: 'swatches', role: 'group', 'aria-label': 'Background' },
        ...BACKGROUNDS.slice(0, -1).map((name) => button('', { class: `swatch ${name}`, 'aria-label': `${name} behind`, title: `${name} behind (${this.keymap.label('background')})`, pressed: look.background === name, onclick: () => this.look({ background: name }) })),
        own,
      ),
      h('span', { class: 'joined' }, button('Fit', { key: this.keymap.label('fit'), onclick: () => this.#fit() }), button('1:1', { key: this.keymap.label('actual'), onclick: () => this.#actual() })),
      h('button', { type: 'button', 'aria-label': 'All keys', title: `All keys (${this.keymap.label('help')})`, onclick: () => this.keymap.run('help') }, '?'),
    );
  }

  #drawLegend(look) {
    const slider = (label, name, min, max, step, shown) =>
      h('label', {}, label, h('input', { type: 'range', min, max, step, value: look[name], oninput: (event) => this.look({ [name]: Number(event.target.value) }) }), shown ? h('output', {}, shown) : null);
    const comparing = look.mode === 'difference' || look.mode === 'merged';
    const merged = this.#entry?.detail.images.merged;
    const parts = [];
    if (look.mode === 'heat') parts.push(h('span', {}, 'alpha 0'), h('i', { class: 'heat-scale' }), h('span', {}, '1'));
    if (look.mode === 'matte') parts.push(h('span', {}, 'black: clear · white: solid'));
    if (look.mode === 'difference') parts.push(h('span', {}, merged ? 'layers against the merged image' : 'layers against the stored whole image'), slider('Gain', 'gain', 1, 32, 1, `× ${look.gain}`));
    if (look.exploded && !comparing) parts.push(h('span', {}, 'drag to turn'), slider('Apart', 'gap', 0.02, 0.6, 0.01));
    keepingFocus(this.legend, () => {
      // The slider that is being dragged must stay the same element.
      const dragged = this.legend.contains(document.activeElement) && document.activeElement.type === 'range';
      if (!dragged) replace(this.legend, ...parts);
      else if (look.mode === 'difference') this.legend.querySelector('output').textContent = `× ${look.gain}`;
    });
    this.legend.hidden = !parts.length;
  }

  #fit() {
    this.camera.fit();
    this.stage.place();
  }

  #actual() {
    this.camera.actual();
    this.stage.place();
  }

  #zoom(factor, at) {
    this.camera.zoomTo(this.camera.zoom * factor, at);
    this.stage.place();
  }

  // Pointer: drag to pan (or to turn the stack), wheel to zoom, click to select, Alt-click to see alone.

  #listen() {
    const { host } = this;
    host.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.#zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), this.stage.at(event));
    }, { passive: false });
    host.addEventListener('pointerdown', (event) => {
      if (event.button !== 0) return;
      host.setPointerCapture(event.pointerId);
      this.#drag = { x: event.clientX, y: event.clientY, far: 0 };
    });
    host.addEventListener('pointermove', (event) => (this.#drag ? this.#dragged(event) : this.#probe(event)));
    host.addEventListener('pointerup', (event) => {
      if (this.#drag && this.#drag.far < 4) this.#clicked(event);
      this.#drag = null;
    });
    host.addEventListener('pointercancel', () => (this.#drag = null));
    host.addEventListener('pointerleave', () => (this.probe.textContent = ''));
    host.addEventListener('dblclick', () => (this.camera.isFit ? this.#actual() : this.#fit()));
  }

  #dragged(event) {
    const [dx, dy] = [event.clientX - this.#drag.x, event.clientY - this.#drag.y];
    Object.assign(this.#drag, { x: event.clientX, y: event.clientY, far: this.#drag.far + Math.hypot(dx, dy) });
    if (host3d(this.host) && !event.shiftKey) {
      const [x, y] = this.#look.value.turn;
      this.look({ turn: [Math.max(-89, Math.min(89, x - dy * 0.4)), Math.max(-89, Math.min(89, y + dx * 0.4))] });
      return;
    }
    this.camera.pan(dx, dy);
    this.stage.place();
  }

  #clicked(event) {
    if (host3d(this.host)) {
      const plane = document.elementsFromPoint(event.clientX, event.clientY).find((element) => element.classList.contains('layer'))?.closest('.plane');
      if (plane) event.altKey ? this.solo(Number(plane.dataset.layer)) : this.select(Number(plane.dataset.layer));
      return;
    }
    const found = this.stage.pick(this.stage.at(event));
    if (!found) return;
    if (event.altKey) this.solo(found.layer);
    else this.select(found.layer);
  }

  #probe(event) {
    if (!this.#entry || host3d(this.host)) return;
    const found = this.stage.pick(this.stage.at(event));
    if (!found?.color) {
      this.probe.textContent = '';
      return;
    }
    const [red, green, blue, alpha] = found.color;
    this.probe.textContent = `${found.x}, ${found.y}   ${found.layer === BASE ? 'base' : `layer ${found.layer}`}   alpha ${alpha} (${(alpha / 255).toFixed(2)})   rgb ${red} ${green} ${blue}`;
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
      layerCaption: () => (this.#state.selected === BASE ? say('Select a layer whose caption to edit.') : this.facts.edit(this.#state.selected)),
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
      explode: flip('exploded'),
      edge: () => this.nextEdge(),
      boxes: flip('boxes'),
      layoutBoxes: flip('layoutBoxes'),
      background: () => this.look({ background: BACKGROUNDS[(BACKGROUNDS.indexOf(this.#look.value.background) + 1) % BACKGROUNDS.length] }),
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

function host3d(host) {
  return host.classList.contains('exploded');
}
