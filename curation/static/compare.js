// The blind comparison: two models' pictures of one brief, and three short questions about them.

import { api } from './api.js';
import { button, h, keepingFocus, replace } from './dom.js';
import { Camera } from './camera.js';
import { BACKGROUNDS, FIRST_LOOK, Stage, firstState } from './stage.js';
import { Preloader } from './preload.js';
import { say } from './store.js';
import { uuid } from './outbox.js';
import { words } from './verdicts.js';

const ANSWERS = [
  ['left', '← Left'],
  ['draw', 'Draw'],
  ['right', 'Right →'],
];

export class Compare {
  #pair = null;
  #answers = {};
  #at = 0;
  #look = { ...FIRST_LOOK };
  #sending = false;

  constructor(root, session, keymap) {
    this.root = root;
    this.questions = session.compare.questions;
    this.keymap = keymap;
    this.title = h('h1', { class: 'sample-title', tabIndex: -1 }, 'Which is better?');
    this.caption = h('p', { class: 'compare-caption' });
    this.tools = h('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Looking' });
    this.camera = new Camera(); // one for both: they are looked at alike
    this.hosts = ['left', 'right'].map((side) => h('div', { class: 'stage', role: 'img', 'aria-label': `The ${side} picture` }));
    this.stages = this.hosts.map((host) => new Stage(host, this.camera));
    this.asked = h('div', { class: 'questions' });
    this.pictures = h('div', { class: 'pictures' }, ...this.hosts.map((host, place) => h('figure', {}, h('div', { class: 'surround' }, host), h('figcaption', {}, place ? 'Right' : 'Left'))));
    this.results = h('div', { class: 'results' });
    root.append(h('header', { class: 'viewer-bar' }, this.title, this.tools), this.caption, this.pictures, this.results, h('footer', {}, this.asked));
    this.hosts.forEach((host) => this.#listen(host));
    this.#keys();
  }

  async open() {
    this.root.hidden = false;
    this.keymap.view = 'compare';
    this.#drawTools();
    await this.#next();
    this.title.focus({ preventScroll: true });
  }

  async #next() {
    try {
      const { done, answered, total, pair } = await api.comparePair();
      replace(this.title, 'Which is better?', h('span', { class: 'quiet' }, ` ${answered} of ${total} answered`));
      if (done) {
        await this.#finish();
        return;
      }
      await this.#show(pair);
    } catch (error) {
      say(error.message, 'error');
    }
  }

  async #show(pair) {
    const loader = new Preloader((side) => Promise.resolve(detailOf(pair, pair[side])));
    const entries = await Promise.all(['left', 'right'].map((side) => loader.entry(side).promise));
    this.#pair = pair;
    this.#answers = {};
    this.#at = 0;
    this.camera.fit();
    entries.forEach((entry, place) => this.stages[place].show(entry, { ...firstState(entry.detail), selected: null }));
    this.caption.textContent = pair.caption;
    replace(this.results);
    this.pictures.hidden = false;
    this.#drawQuestions();
  }

  #drawQuestions() {
    keepingFocus(this.asked, () =>
      replace(
        this.asked,
        ...this.questions.map(({ name, title, description }, place) =>
          h(
            'fieldset',
            { class: place === this.#at ? 'question now' : 'question', 'aria-current': place === this.#at ? 'step' : undefined },
            h('legend', {}, title, h('small', {}, description)),
            h('span', { class: 'joined' }, ...ANSWERS.map(([answer, label]) => h('button', { type: 'button', 'aria-label': `${title}: ${answer}`, 'aria-pressed': String(this.#answers[name] === answer), onclick: () => this.#answer(answer, place) }, label))),
          ),
        ),
      ),
    );
  }

  #answer(answer, place = this.#at) {
    if (!this.#pair || this.#sending) return;
    this.#answers[this.questions[place].name] = answer;
    const open = this.questions.findIndex(({ name }) => !(name in this.#answers));
    this.#at = open === -1 ? this.questions.length - 1 : open;
    this.#drawQuestions();
    if (open === -1) this.#send();
  }

  #back() {
    const answered = this.questions.map(({ name }) => name).filter((name) => name in this.#answers);
    if (!answered.length) return;
    const last = answered.at(-1);
    delete this.#answers[last];
    this.#at = this.questions.findIndex(({ name }) => name === last);
    this.#drawQuestions();
  }

  async #send() {
    this.#sending = true;
    try {
      await api.compareAnswer({ pair: this.#pair.id, answers: this.#answers, client_id: uuid() });
      this.#pair = null;
      await this.#next();
    } catch (error) {
      say(`${error.message} Your answers are still here: answer the last question again.`, 'error');
      this.#back();
    } finally {
      this.#sending = false;
    }
  }

  async #finish() {
    this.#pair = null;
    this.pictures.hidden = true;
    this.caption.textContent = 'You have answered every pair. Until now you could not know which side was whose.';
    replace(this.asked);
    const results = await api.compareResults();
    replace(
      this.results,
      h('table', { class: 'figures wide' }, h('caption', {}, `${results.pairs} pairs, ${results.reviewers} ${results.reviewers === 1 ? 'person' : 'people'}`), h('thead', {}, h('tr', {}, ...['Question', results.a, 'Draw', results.b, `Preference for ${results.a}, draws halved`].map((text, place) => h('th', { scope: 'col', class: place ? 'number' : '' }, text)))), h('tbody', {}, ...results.questions.map(resultRow))),
    );
  }

  #drawTools() {
    const look = this.#look;
    const mode = (name, title) => button(title, { key: this.keymap.label(name), pressed: look.mode === name, onclick: () => this.#change({ mode: name }) });
    keepingFocus(this.tools, () =>
      replace(
        this.tools,
        h('span', { class: 'joined' }, mode('picture', 'Picture'), mode('matte', 'Matte'), mode('heat', 'Heat')),
        button('Explode', { key: this.keymap.label('explode'), pressed: look.exploded, onclick: () => this.#change({ exploded: !look.exploded }) }),
        button('Boxes', { key: this.keymap.label('boxes'), pressed: look.boxes, onclick: () => this.#change({ boxes: !look.boxes }) }),
        button('Fit', { key: this.keymap.label('fit'), onclick: () => this.#place(() => this.camera.fit()) }),
        h('button', { type: 'button', 'aria-label': 'All keys', title: `All keys (${this.keymap.label('help')})`, onclick: () => this.keymap.run('help') }, '?'),
      ),
    );
  }

  #change(change) {
    Object.assign(this.#look, change);
    for (const stage of this.stages) {
      stage.look = this.#look;
      stage.apply();
    }
    this.#drawTools();
  }

  // Every move of the shared camera is made in the size of one view, and shown in both.
  #place(move, stage = this.stages[0]) {
    stage.place();
    move();
    this.stages.forEach((each) => each.place());
  }

  #listen(host) {
    const stage = this.stages[this.hosts.indexOf(host)];
    let from = null;
    host.addEventListener('wheel', (event) => {
      event.preventDefault();
      this.#place(() => this.camera.zoomTo(this.camera.zoom * Math.exp(-event.deltaY * 0.0016), stage.at(event)), stage);
    }, { passive: false });
    host.addEventListener('pointerdown', (event) => {
      host.setPointerCapture(event.pointerId);
      from = [event.clientX, event.clientY];
    });
    host.addEventListener('pointermove', (event) => {
      if (!from) return;
      const [x, y] = from;
      from = [event.clientX, event.clientY];
      this.#place(() => this.camera.pan(event.clientX - x, event.clientY - y), stage);
    });
    host.addEventListener('pointerup', () => (from = null));
    host.addEventListener('pointercancel', () => (from = null));
  }

  #keys() {
    const mode = (name) => () => this.#change({ mode: this.#look.mode === name ? 'picture' : name });
    this.keymap.on('compare', {
      left: () => this.#answer('left'),
      draw: () => this.#answer('draw'),
      right: () => this.#answer('right'),
      back: () => this.#back(),
      picture: () => this.#change({ mode: 'picture', exploded: false }),
      matte: mode('matte'),
      heat: mode('heat'),
      explode: () => this.#change({ exploded: !this.#look.exploded }),
      boxes: () => this.#change({ boxes: !this.#look.boxes }),
      background: () => this.#change({ background: BACKGROUNDS[(BACKGROUNDS.indexOf(this.#look.background) + 1) % BACKGROUNDS.length] }),
      zoomIn: () => this.#place(() => this.camera.zoomTo(this.camera.zoom * 1.5)),
      zoomOut: () => this.#place(() => this.camera.zoomTo(this.camera.zoom / 1.5)),
      fit: () => this.#place(() => this.camera.fit()),
      actual: () => this.#place(() => this.camera.actual()),
    });
  }
}

function detailOf(pair, side) {
  return { id: pair.id, canvas: side.canvas ?? pair.canvas, caption: pair.caption, layers: side.layers, images: { base: side.base, whole: side.whole } };
}

function resultRow({ title, name, a, draw, b, share_a: share, low, high }) {
  const bar = h('span', { class: 'interval', 'aria-hidden': 'true' }, h('i', { class: 'interval-range' }), h('i', { class: 'interval-point' }));
  bar.firstElementChild.style.left = `${100 * low}%`;
  bar.firstElementChild.style.width = `${100 * (high - low)}%`;
  bar.lastElementChild.style.left = `${100 * share}%`;
  const text = `${Math.round(100 * share)} % (95 %: ${Math.round(100 * low)}–${Math.round(100 * high)} %)`;
  return h('tr', {}, h('th', { scope: 'row' }, title ?? words(name)), ...[a, draw, b].map((count) => h('td', { class: 'number' }, count)), h('td', { class: 'number' }, bar, text));
}
