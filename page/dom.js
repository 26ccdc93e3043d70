// Elements of a figure that runs, made with text that is never read as markup.

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {string} [className]
 * @param {string} [text]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(tag, className = "", text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text) element.textContent = text;
  return element;
}

/** @param {string} text @param {string} what  it does, in full @param {() => void} act */
export function button(text, what, act) {
  const element = make("button", "", text);
  element.type = "button";
  element.title = what;
  // Its name begins with what is seen, for those who say it.
  element.setAttribute("aria-label", `${text}: ${what}`);
  element.addEventListener("click", act);
  return element;
}

/** @param {HTMLElement} element @param {boolean} pressed */
export function press(element, pressed) {
  element.setAttribute("aria-pressed", String(pressed));
}

let ids = 0;

/** @param {HTMLElement} element */
export function withId(element) {
  element.id = `explore-${++ids}`;
  return element.id;
}

/**
 * A canvas of so many CSS pixels, sharp on this screen; what it showed is gone.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width
 * @param {number} height
 * @returns {CanvasRenderingContext2D | null}
 */
export function cleared(canvas, width, height) {
  const ratio = Math.min(window.devicePixelRatio || 1, 3);
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const ctx = canvas.getContext("2d");
  ctx?.setTransform(ratio, 0, 0, ratio, 0, 0);
  ctx?.clearRect(0, 0, width, height);
  return ctx;
}
