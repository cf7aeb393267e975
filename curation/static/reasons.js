// The palette of reasons: one key each, always the same, so that hands learn them.

import { button, h, replace } from './dom.js';
import { words } from './verdicts.js';

/** The key of every reason: the first free letter of its name, else any free letter or digit. */
export function reasonKeys(reasons) {
  const keys = new Map();
  const taken = new Set();
  for (const { name } of reasons) {
    const key = [...name.replaceAll('_', ''), ...'abcdefghijklmnopqrstuvwxyz0123456789'].find(
      (letter) => !taken.has(letter),
    );
    taken.add(key);
    keys.set(name, key);
  }
  return keys;
}

export class ReasonPalette {
  #chosen = new Set();
  #done = null;

  constructor(dialog, reasons) {
    this.dialog = dialog;
    this.reasons = reasons;
    this.keys = reasonKeys(reasons);
    this.title = h('h2', { id: 'reasons-title' });
    this.list = h('div', { class: 'reason-list', role: 'group', 'aria-labelledby': 'reasons-title' });
    dialog.setAttribute('aria-labelledby', 'reasons-title');
    dialog.append(
      this.title,
      this.list,
      h(
        'footer',
        {},
        h('p', { class: 'quiet' }, 'Letters choose, Enter rejects, Esc leaves all as it is.'),
        button('Cancel', { onclick: () => dialog.close() }),
        button('Reject', { class: 'primary reject', onclick: () => this.#finish() }),
      ),
    );
    dialog.addEventListener('keydown', (event) => this.#key(event));
  }

  /** Asks for reasons with `chosen` ticked; `done` gets the names when the person rejects, and nothing otherwise. */
  ask(title, scope, chosen, done) {
    this.#chosen = new Set(chosen);
    this.#done = done;
    this.title.textContent = title;
    // A whole may be rejected for one of its layers; a layer has no defects of the whole.
    const groups =
      scope === 'layer'
        ? [['', ['layer', 'both']]]
        : [
            ['Of the whole', ['whole', 'both']],
            ['Of a layer', ['layer']],
          ];
    replace(
      this.list,
      ...groups.map(([heading, scopes]) =>
        this.#group(
          heading,
          this.reasons.filter((reason) => scopes.includes(reason.scope)),
        ),
      ),
    );
    this.dialog.showModal();
  }

  #group(heading, reasons) {
    return h('section', {}, heading ? h('h3', {}, heading) : null, ...reasons.map((reason) => this.#choice(reason)));
  }

  #choice({ name, description }) {
    const box = h('input', {
      type: 'checkbox',
      name,
      checked: this.#chosen.has(name),
      onchange: (event) => this.#chosen[event.target.checked ? 'add' : 'delete'](name),
    });
    return h(
      'label',
      { class: 'reason' },
      box,
      h('kbd', {}, this.keys.get(name).toUpperCase()),
      h('span', {}, h('b', {}, words(name)), h('small', {}, description)),
    );
  }

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'Enter' && event.target.tagName !== 'BUTTON') {
      event.preventDefault();
      this.#finish();
      return;
    }
    const [name] = [...this.keys].find(([, key]) => key === event.key.toLowerCase()) ?? [];
    const box = name && this.list.querySelector(`input[name="${name}"]`);
    if (!box) return;
    event.preventDefault();
    box.click();
    box.focus();
  }

  #finish() {
    this.dialog.close();
    this.#done([...this.#chosen]);
  }
}
