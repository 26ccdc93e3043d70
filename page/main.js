// Brings the page's figures to life as they come near: until then, and where that fails, each stands as its image does.
// Everything here is also on the page without this script.
import { canUnpack, unpacked } from "./block.js";
import { Host } from "./host.js";
import { studyOf } from "./study.js";

const AHEAD = "600px 0px";

/** @type {Map<Element, Host | null>} null while it is being unpacked */
const HOSTS = new Map();

let warned = false;

/** @param {unknown} reason */
function warnOnce(reason) {
  if (!warned) console.warn("Figures stay as they are:", reason);
  warned = true;
}

/** @param {HTMLElement} element @param {HTMLElement} block */
async function wake(element, block) {
  if (HOSTS.has(element)) return;
  HOSTS.set(element, null);
  try {
    const { figure, read } = await unpacked(block.textContent ?? "");
    const host = new Host(element, figure, read, studyOf(element.dataset.study ?? element.id));
    const { top, bottom } = element.getBoundingClientRect();
    host.setSeen(top < innerHeight && bottom > 0);
    host.show();
    HOSTS.set(element, host);
  } catch (reason) {
    element.classList.remove("live");
    element.querySelector(".explore")?.remove();
    warnOnce(reason);
  }
}

/** @param {HTMLElement[]} figures */
function watch(figures) {
  const observer = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) {
      const block = target.querySelector("script.figure-data");
      HOSTS.get(target)?.setNear(isIntersecting);
      if (isIntersecting && target instanceof HTMLElement && block instanceof HTMLElement) void wake(target, block);
    }
  }, { rootMargin: AHEAD });
  const onScreen = new IntersectionObserver((entries) => {
    for (const { target, isIntersecting } of entries) HOSTS.get(target)?.setSeen(isIntersecting);
  });
  for (const figure of figures) {
    observer.observe(figure);
    onScreen.observe(figure);
    figure.addEventListener("focusin", () => {
      const block = figure.querySelector("script.figure-data");
      if (block instanceof HTMLElement) void wake(figure, block);
    }, { once: true });
  }
}

/** Light and dark, and another pixel ratio. */
function watchScreen() {
  const redraw = () => HOSTS.forEach((host) => host?.changed());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  addEventListener("resize", redraw);
}

function start() {
  const all = [...document.querySelectorAll("figure")];
  const figures = all.filter((figure) => figure.querySelector("script.figure-data") && figure.querySelector("img"));
  if (figures.length === 0) return;
  if (!canUnpack() || typeof IntersectionObserver !== "function") return warnOnce("this browser cannot unpack their data");
  // Of a page that was saved while it ran.
  document.querySelectorAll(".explore").forEach((stale) => stale.remove());
  figures.forEach((figure) => figure.classList.remove("live"));
  document.documentElement.classList.add("explorable");
  watch(figures);
  watchScreen();
}

start();
