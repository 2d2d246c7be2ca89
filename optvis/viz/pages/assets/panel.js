import { all, find, formatSigned, writeWords } from "./helpers.js";

// What pages with a panel beside an exhibit have in common: `state.touch` is true while a finger is in use.
export function listenAroundPanel(state, onEscape, onStep) {
  const first = { capture: true };
  const onPointerDown = (event) => {
    state.touch = event.pointerType === "touch";
  };
  const onKeyDown = (event) => {
    state.touch = false;
    if (event.key === "Escape") onEscape();
  };
  document.addEventListener("pointerdown", onPointerDown, first);
  document.addEventListener("keydown", onKeyDown, first);
  for (const button of all("[data-step]")) {
    button.addEventListener("click", () => onStep(button.dataset.step.split(" ").map(Number)));
  }
  find(".close").addEventListener("click", () => document.body.classList.remove("touched"));
}

export function writeLegend(words, label, most) {
  const [less, , more] = all(".ends span");
  writeWords(find(".legend p"), words, label);
  [less.textContent, more.textContent] = [formatSigned(-most), formatSigned(most)];
}
