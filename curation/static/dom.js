// Building elements. Text always becomes text nodes: nothing that a caption holds is ever read as markup.

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An HTML element: `on…` properties are listeners; `class`, `role`, `for` and names with a dash are attributes; all
 * else are fields.
 */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An SVG element; all its properties but listeners are attributes. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Puts `children` in place of what `parent` holds. Null and false are left out, all but nodes becomes text. */
export function replace(parent, ...children) {
  parent.replaceChildren(...nodes(children));
  return parent;
}

/** A button whose tooltip and shortcut hint name its key. */
export function button(label, { key = '', title = label, pressed, ...properties } = {}, ...children) {
  return h(
    'button',
    {
      type: 'button',
      title: key ? `${title} (${key})` : title,
      'aria-pressed': pressed === undefined ? undefined : String(pressed),
      'aria-keyshortcuts': key || undefined,
      ...properties,
    },
    ...(children.length ? children : [label]),
    key ? h('kbd', { 'aria-hidden': 'true' }, key) : null,
  );
}

/** Lets `draw` rebuild parts of `parent`, then gives the focus back to the control that has the same name. */
export function keepingFocus(parent, draw) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  draw();
  if (!focused || focused.isConnected) return;
  const same = [...parent.querySelectorAll(focused.tagName)].find((element) => nameOf(element) === nameOf(focused));
  same?.focus({ preventScroll: true });
}

/** Sets a field, unless somebody is typing in it. */
export function showValue(field, value) {
  if (document.activeElement !== field) field.value = value;
}

/** Waits until `run` has not been called for `delay` milliseconds, then runs it once. */
export function debounced(run, delay) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => run(...values), delay);
  };
}

function nameOf(element) {
  return element.getAttribute('aria-label') ?? element.textContent;
}

function fill(element, properties, children) {
  const html = element.namespaceURI !== SVG;
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2).toLowerCase(), value);
    else if (!html || name === 'class' || name === 'role' || name === 'for' || name.includes('-'))
      element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...nodes(children));
  return element;
}

function nodes(children) {
  return children.flat().filter((child) => child !== null && child !== undefined && child !== false);
}
