// The blind comparison: two models' pictures of one brief, and three short questions about them.

import { api } from './api.js';
import { button, h, keepingFocus, replace } from './dom.js';
import { Camera } from './camera.js';
import { BACKGROUNDS, FIRST_LOOK, Stage, firstState } from './stage.js';
import { followPointer } from './pointer.js';
import { Preloader } from './preload.js';
import { say } from './store.js';
import { uuid } from './outbox.js';

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
  #loaded = new Map(); // pair → promise of its entries

  constructor(root, session, keymap) {
    this.root = root;
    this.questions = session.compare.questions;
    this.sets = { a: session.compare.a, b: session.compare.b };
    this.keymap = keymap;
    this.title = h('h1', { class: 'sample-title', tabIndex: -1 }, 'Which is better?');
    this.caption = h('p', { class: 'compare-caption' });
    this.tools = h('div', { class: 'tools', role: 'toolbar', 'aria-label': 'Looking' });
    this.camera = new Camera(); // one for both: they are looked at alike
    this.hosts = ['left', 'right'].map((side) =>
      h('div', { class: 'stage', role: 'img', 'aria-label': `The ${side} picture` }),
    );
    this.stages = this.hosts.map((host) => new Stage(host, this.camera));
    this.asked = h('div', { class: 'questions' });
    this.pictures = h(
      'div',
      { class: 'pictures' },
      ...this.hosts.map((host, place) =>
        h('figure', {}, h('div', { class: 'surround' }, host), h('figcaption', {}, place ? 'Right' : 'Left')),
      ),
    );
    this.results = h('div', { class: 'results' });
    root.append(
      h('header', { class: 'viewer-bar' }, this.title, this.tools),
      this.caption,
      this.pictures,
      this.results,
      h('footer', {}, this.asked),
    );
    for (const stage of this.stages) {
      followPointer(stage, {
        zoom: (factor, at) => this.#place(() => this.camera.zoomTo(this.camera.zoom * factor, at), stage),
        pan: (dx, dy) => this.#place(() => this.camera.pan(dx, dy), stage),
        turn: (dx, dy) => this.#change({ turn: [this.#look.turn[0] + dx, this.#look.turn[1] + dy] }),
        choose: () => {},
        reset: () => this.#place(() => this.camera.fit()),
        probe: () => {},
      });
    }
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
      const { next, following, done, total } = await api.comparePair();
      replace(this.title, 'Which is better?', h('span', { class: 'quiet' }, ` ${done} of ${total} answered`));
      if (!next) {
        await this.#finish();
        return;
      }
      await this.#show(next);
      if (following) this.#load(following);
    } catch (error) {
      say(error.message, 'error');
    }
  }

  // Both sides of a pair with their images decoded; those of the pair after this one are loaded meanwhile.
  #load(pair) {
    if (!this.#loaded.has(pair.pair)) {
      const loader = new Preloader((side) => Promise.resolve(detailOf(pair, pair[side])));
      this.#loaded.set(pair.pair, Promise.all(['left', 'right'].map((side) => loader.entry(side).promise)));
    }
    return this.#loaded.get(pair.pair);
  }

  async #show(pair) {
    const entries = await this.#load(pair);
    this.#loaded.delete(pair.pair);
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
        ...this.questions.map(({ name, title }, place) =>
          h(
            'fieldset',
            {
              class: place === this.#at ? 'question now' : 'question',
              'aria-current': place === this.#at ? 'step' : undefined,
            },
            h('legend', {}, title),
            h(
              'span',
              { class: 'joined' },
              ...ANSWERS.map(([answer, label]) =>
                h(
                  'button',
                  {
                    type: 'button',
                    'aria-label': `${title}: ${answer}`,
                    'aria-pressed': String(this.#answers[name] === answer),
                    onclick: () => this.#answer(answer, place),
                  },
                  label,
                ),
              ),
            ),
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
      await api.compareAnswer({ pair: this.#pair.pair, answers: this.#answers, client_id: uuid() });
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
    this.caption.textContent = 'You have answered every pair. Which side was whose was drawn anew for each of them.';
    replace(this.asked);
    const { questions } = await api.compareResults();
    const { a, b } = this.sets;
    replace(
      this.results,
      h('dl', {}, h('dt', {}, 'A'), h('dd', {}, a), h('dt', {}, 'B'), h('dd', {}, b)),
      h(
        'table',
        { class: 'figures wide' },
        h('caption', {}, 'Shares with their 95 % intervals'),
        h(
          'thead',
          {},
          h(
            'tr',
            {},
            ...['Question', 'A is better', 'Draw', 'B is better', 'Answers', 'People'].map((text, place) =>
              h('th', { scope: 'col', class: place ? 'number' : '' }, text),
            ),
          ),
        ),
        h('tbody', {}, ...questions.map(resultRow)),
      ),
    );
  }

  #drawTools() {
    const look = this.#look;
    const mode = (name, title) =>
      button(title, {
        key: this.keymap.label(name),
        pressed: look.mode === name,
        onclick: () => this.#change({ mode: name }),
      });
    keepingFocus(this.tools, () =>
      replace(
        this.tools,
        h('span', { class: 'joined' }, mode('picture', 'Picture'), mode('matte', 'Matte'), mode('heat', 'Heat')),
        button('Explode', {
          key: this.keymap.label('explode'),
          pressed: look.exploded,
          onclick: () => this.#change({ exploded: !look.exploded }),
        }),
        button('Boxes', {
          key: this.keymap.label('boxes'),
          pressed: look.boxes,
          onclick: () => this.#change({ boxes: !look.boxes }),
        }),
        button('Fit', { key: this.keymap.label('fit'), onclick: () => this.#place(() => this.camera.fit()) }),
        h(
          'button',
          {
            type: 'button',
            'aria-label': 'All keys',
            title: `All keys (${this.keymap.label('help')})`,
            onclick: () => this.keymap.run('help'),
          },
          '?',
        ),
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
      background: () =>
        this.#change({
          background: BACKGROUNDS[(BACKGROUNDS.indexOf(this.#look.background) + 1) % BACKGROUNDS.length],
        }),
      zoomIn: () => this.#place(() => this.camera.zoomTo(this.camera.zoom * 1.5)),
      zoomOut: () => this.#place(() => this.camera.zoomTo(this.camera.zoom / 1.5)),
      fit: () => this.#place(() => this.camera.fit()),
      actual: () => this.#place(() => this.camera.actual()),
    });
  }
}

function detailOf(pair, side) {
  return {
    id: pair.pair,
    canvas: side.canvas,
    caption: pair.caption,
    layers: side.layers.map((layer, index) => ({ ...layer, index })),
    images: { base: side.base, whole: side.whole },
  };
}

function resultRow({ title, a, draw, b, total, reviewers }) {
  return h(
    'tr',
    {},
    h('th', { scope: 'row' }, title),
    ...[a, draw, b].map((part) => h('td', { class: 'number' }, bar(part), percent(part))),
    h('td', { class: 'number' }, total),
    h('td', { class: 'number' }, reviewers),
  );
}

function percent({ share, interval, total }) {
  if (!total) return '–';
  const whole = (part) => Math.round(100 * part);
  return `${whole(share)} %` + (interval ? ` (${whole(interval[0])}–${whole(interval[1])})` : '');
}

function bar({ share, interval, total }) {
  if (!total || !interval) return null;
  const [range, point] = [h('i', { class: 'interval-range' }), h('i', { class: 'interval-point' })];
  range.style.left = `${100 * interval[0]}%`;
  range.style.width = `${100 * (interval[1] - interval[0])}%`;
  point.style.left = `${100 * share}%`;
  return h('span', { class: 'interval', 'aria-hidden': 'true' }, range, point);
}
