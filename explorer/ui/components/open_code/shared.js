// Between walls, maps and the dossier of a page: which code is open, and which one is picked.

const OPENED = "vqvae-code-opened";
const PICKED = "vqvae-code-picked";

/** The code whose dossier is open, or null. */
function openedCode() {
  const said = document.querySelector("[data-open-code]")?.dataset.openCode;
  return said === undefined ? null : Number(said);
}

/** Hear of each code that is opened; returns what ends it. */
function onOpened(listener) {
  const hear = (event) => listener(event.detail);
  document.addEventListener(OPENED, hear);
  return () => document.removeEventListener(OPENED, hear);
}

/** Open a code: all walls and maps mark it at once, and its dossier follows. */
function pickCode(code) {
  document.dispatchEvent(new CustomEvent(PICKED, { detail: code }));
  document.dispatchEvent(new CustomEvent(OPENED, { detail: code }));
}
