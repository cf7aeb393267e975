// What is known of a sample: captions, scores beside their thresholds, where it comes from, who decided what.

import { button, h, keepingFocus, replace } from './dom.js';
import { Scores } from './scores.js';
import { verdictBadge, verdictName, words } from './verdicts.js';
import { WHOLE } from './deciding.js';

/** Calls back `caption(layer, text)` with a new caption, and `open(ids, index)` to look at other samples. */
export class Facts {
  #detail = null;
  #state = null;
  #draft = {};
  #editing = null; // a layer's index or WHOLE

  constructor(panel, session, keymap, actions) {
    this.panel = panel;
    this.keymap = keymap;
    this.actions = actions;
    this.scores = new Scores(session.scores);
    this.captions = h('section', { 'aria-label': 'Captions' });
    this.origin = h('section', { 'aria-label': 'Provenance' });
    this.trail = h('section', { 'aria-label': 'Decisions' });
    panel.append(this.captions, this.scores.element, this.origin, this.trail);
  }

  /** @param draft what waits for the verdict: `{caption?, rating?}`. */
  show(detail, state, draft) {
    if (this.#detail?.id !== detail.id) this.#editing = null;
    this.#detail = detail;
    this.#state = state;
    this.#draft = draft;
    keepingFocus(this.panel, () => {
      if (this.#editing === null) this.#showCaptions();
      this.scores.show(detail, state.selected);
      this.#showOrigin();
      this.#showTrail();
    });
  }

  /** Puts the cursor into the caption of a layer, or of the whole. */
  edit(layer) {
    this.#editing = layer;
    this.#showCaptions();
    this.captions.querySelector('textarea').focus();
  }

  #showCaptions() {
    const detail = this.#detail;
    const layer = this.#selectedLayer();
    const orphaned = detail.layers.some(({ verdict }) => verdict === 'reject') && !this.#wholeCaption().edited;
    replace(
      this.captions,
      h('h2', {}, 'Captions'),
      orphaned
        ? h(
            'p',
            { class: 'banner' },
            'A layer is rejected, and the caption may still name it. ',
            button('Edit it', { class: 'link', onclick: () => this.edit(WHOLE) }),
          )
        : null,
      this.#caption('Whole image', WHOLE, this.#wholeCaption(), this.keymap.label('caption')),
      h('div', { class: 'caption' }, h('h3', {}, 'Base image'), h('p', {}, detail.base_caption)),
      layer
        ? this.#caption(
            `Layer ${layer.index}${layer.kind === 'text' ? ', text' : ''}`,
            layer.index,
            { text: layer.new_caption || layer.caption, edited: Boolean(layer.new_caption) },
            this.keymap.label('layerCaption'),
          )
        : null,
      layer?.text ? h('p', { class: 'quiet' }, `Reads: ${layer.text}`) : null,
    );
  }

  #wholeCaption() {
    const edited = this.#draft.caption || this.#detail.new_caption;
    return { text: edited || this.#detail.caption, edited: Boolean(edited), draft: Boolean(this.#draft.caption) };
  }

  #caption(title, index, { text, edited, draft }, key) {
    const note = draft ? 'edited, sent with the verdict' : edited ? 'edited' : '';
    if (this.#editing !== index) {
      return h(
        'div',
        { class: 'caption' },
        h(
          'h3',
          {},
          title,
          note ? h('span', { class: 'quiet' }, ` · ${note}`) : null,
          button('Edit', {
            class: 'link',
            'aria-label': `Edit the caption of ${title}`,
            title: `Edit (${key})`,
            onclick: () => this.edit(index),
          }),
        ),
        h('p', { class: 'caption-text' }, text),
      );
    }
    const area = h('textarea', { rows: 5, value: text, 'aria-label': `Caption of ${title}` });
    const close = () => {
      this.#editing = null;
      this.#showCaptions();
    };
    const save = () => {
      this.#editing = null;
      const value = area.value.trim();
      if (value && value !== text) this.actions.caption(index, value);
      this.#showCaptions();
    };
    area.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') close();
      else if (event.key === 'Enter' && (event.ctrlKey || event.metaKey || !event.shiftKey)) {
        event.preventDefault();
        save();
      } else return;
      event.stopPropagation();
    });
    return h(
      'div',
      { class: 'caption' },
      h('h3', {}, title),
      area,
      h(
        'div',
        { class: 'row' },
        button('Save', { class: 'primary', title: 'Save (Enter)', onclick: save }),
        button('Cancel', { title: 'Leave it as it was (Esc)', onclick: close }),
      ),
    );
  }

  #showOrigin() {
    const detail = this.#detail;
    const layer = this.#selectedLayer();
    const size = (box) => `${box[0]}, ${box[1]} – ${box[2]}, ${box[3]}  (${box[2] - box[0]} × ${box[3] - box[1]})`;
    const of = layer
      ? {
          Box: size(layer.box),
          'Asked for': size(layer.layout_box),
          Model: layer.model,
          Licence: layer.licence,
          Seed: layer.seed,
          Attempt: layer.attempt + 1,
        }
      : {};
    const known = Object.entries(detail.provenance ?? {});
    const open = this.origin.querySelector('details')?.open;
    replace(
      this.origin,
      layer ? h('h2', {}, `Layer ${layer.index}`) : null,
      layer ? pairs(of) : null,
      h(
        'details',
        { open },
        h('summary', {}, 'Provenance of the sample'),
        pairs(Object.fromEntries(known.map(([name, value]) => [words(name), readable(value)]))),
      ),
      detail.duplicates?.length ? this.#twins(detail.duplicates) : null,
    );
  }

  #twins(ids) {
    const all = [this.#detail.id, ...ids.filter((id) => id !== this.#detail.id)];
    return h(
      'div',
      {},
      h('h2', {}, 'Near-duplicates'),
      h(
        'div',
        { class: 'chips' },
        ...all
          .slice(1)
          .map((id, place) => button(id, { class: 'chip', onclick: () => this.actions.open(all, place + 1) })),
      ),
    );
  }

  #showTrail() {
    const events = [...(this.#detail.history ?? [])].reverse();
    replace(
      this.trail,
      h('h2', {}, 'Decisions'),
      events.length
        ? h('ol', { class: 'trail' }, ...events.map(entry))
        : h(
            'p',
            { class: 'quiet' },
            this.#detail.verdicts_hidden ? 'Hidden in this queue until you have decided.' : 'None yet.',
          ),
    );
  }

  #selectedLayer() {
    return this.#detail.layers.find((layer) => layer.index === this.#state.selected);
  }
}

function entry(event) {
  const what = event.verdict === 'undo' ? 'took it back' : verdictName(event.verdict);
  const more = [
    event.layer_index === WHOLE ? '' : `layer ${event.layer_index}`,
    event.reasons.map(words).join(', '),
    event.rating ? `rated ${event.rating}` : '',
    event.queue ? `queue ${event.queue}` : '',
    event.caption ? 'caption edited' : '',
  ];
  return h(
    'li',
    {},
    verdictBadge(event.verdict),
    ' ',
    h('b', {}, event.reviewer),
    ` ${what}`,
    h('span', { class: 'quiet' }, ` · ${[...more.filter(Boolean), new Date(event.at).toLocaleString()].join(' · ')}`),
  );
}

function pairs(values) {
  return h(
    'dl',
    {},
    ...Object.entries(values)
      .filter(([, value]) => value !== '' && value !== undefined)
      .flatMap(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]),
  );
}

// Provenance is text by name; some of it is JSON, which is easier to read with its lines broken.
function readable(value) {
  if (!/^[[{]/.test(value)) return value;
  try {
    return h('pre', { tabIndex: 0 }, JSON.stringify(JSON.parse(value), null, 1));
  } catch {
    return value;
  }
}
