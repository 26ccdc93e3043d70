// What stands under a figure that runs: sliders, choices and switches of its views, and a table of all curves where a
// slider reads. Knows controls, not what they move.
import { make, press, withId } from "./dom.js";
/** @import { Control } from "./types.js" */

/**
 * Controls that are one to the reader: the first is shown and all are set.
 * @typedef {{ shown: Control, all: Control[] }} Joined
 */

/** @param {Control[]} controls @returns {Joined[]} */
export function joined(controls) {
  /** @type {Joined[]} */
  const out = [];
  for (const control of controls) {
    const twin = out.find(({ shown }) => shown.kind === control.kind && shown.label === control.label && shown.max === control.max);
    if (twin) twin.all.push(control);
    else out.push({ shown: control, all: [control] });
  }
  return out;
}

/** @param {Joined} control @param {() => void} changed @returns {{ root: HTMLElement, show: () => void }} */
export function elementOf(control, changed) {
  const set = (/** @type {number} */ value) => {
    control.all.forEach((one) => one.set(value));
    changed();
  };
  if (control.shown.kind === "slider") return sliderOf(control.shown, set);
  return control.shown.kind === "choice" ? choiceOf(control.shown, set) : switchOf(control.shown, set);
}

/** @param {Control} control @param {(value: number) => void} set */
function sliderOf(control, set) {
  const root = make("label", "control");
  const slider = make("input");
  slider.type = "range";
  [slider.min, slider.max, slider.step] = [String(control.min ?? 0), String(control.max ?? 1), "1"];
  const said = make("output", "", "");
  const show = () => {
    slider.value = String(control.get());
    said.textContent = control.say(control.get());
    slider.setAttribute("aria-valuetext", said.textContent);
  };
  slider.addEventListener("input", () => {
    set(Number(slider.value));
    show();
  });
  const name = make("span", "", control.label);
  slider.setAttribute("aria-labelledby", withId(name));
  root.append(name, slider, said);
  show();
  return { root, show };
}

/** @param {Control} control @param {(value: number) => void} set */
function choiceOf(control, set) {
  const root = make("label", "control");
  const choice = make("select");
  choice.append(...(control.choices ?? []).map((text, i) => {
    const option = make("option", "", text);
    option.value = String(i);
    return option;
  }));
  choice.addEventListener("change", () => set(Number(choice.value)));
  const show = () => void (choice.value = String(control.get()));
  root.append(make("span", "", control.label), choice);
  show();
  return { root, show };
}

/** @param {Control} control @param {(value: number) => void} set */
function switchOf(control, set) {
  const root = make("button", "", control.label);
  root.type = "button";
  const show = () => press(root, control.get() > 0);
  root.addEventListener("click", () => {
    set(control.get() > 0 ? 0 : 1);
    show();
  });
  show();
  return { root, show };
}

/**
 * What all curves have where the slider is.
 * @param {HTMLTableElement} table
 * @param {string} at
 * @param {[string, string, string][]} rows  curve, quantity, value
 */
export function fillTable(table, at, rows) {
  const quantities = [...new Set(rows.map((row) => row[1]))];
  const curves = [...new Set(rows.map((row) => row[0]))];
  const headings = [at, ...quantities].map((text, i) => {
    const cell = make("th", i > 0 ? "number" : "", text);
    cell.scope = "col";
    return cell;
  });
  const head = make("thead");
  head.append(rowOf(headings));
  const body = make("tbody");
  body.append(...curves.map((curve) => {
    const name = make("th", "", curve);
    name.scope = "row";
    const values = quantities.map((quantity) => rows.find((row) => row[0] === curve && row[1] === quantity)?.[2] ?? "");
    return rowOf([name, ...values.map((value) => make("td", "number", value))]);
  }));
  table.replaceChildren(head, body);
}

/** @param {HTMLElement[]} cells */
function rowOf(cells) {
  const row = make("tr");
  row.append(...cells);
  return row;
}
