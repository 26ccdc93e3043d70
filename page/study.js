// What is switched on and off in all figures of a study at once: the names in their legends, and single seeds. Knows no
// figure; those that show the study listen.

/** @type {Map<string, Study>} */
const STUDIES = new Map();

/** @param {string} name */
export function studyOf(name) {
  const study = STUDIES.get(name) ?? new Study();
  STUDIES.set(name, study);
  return study;
}

export class Study {
  constructor() {
    /** @type {Set<string>} */
    this.off = new Set();
    this.seeds = false;
    /** @type {(() => void)[]} */
    this.listeners = [];
  }

  /** Whether something is shown that has these names, the empty one never switched. @param {string[]} names */
  shows(...names) {
    return !names.some((name) => name !== "" && this.off.has(name));
  }

  /** @param {string} name */
  toggle(name) {
    if (!this.off.delete(name)) this.off.add(name);
    this.tell();
  }

  /** This one alone of all, or all again where it is alone already. @param {string} name @param {string[]} all */
  only(name, all) {
    const others = all.filter((other) => other !== name);
    const alone = !this.off.has(name) && others.every((other) => this.off.has(other));
    all.forEach((other) => this.off.delete(other));
    if (!alone) others.forEach((other) => this.off.add(other));
    this.tell();
  }

  showSeeds(/** @type {boolean} */ shown) {
    this.seeds = shown;
    this.tell();
  }

  tell() {
    this.listeners.forEach((listener) => listener());
  }
}
