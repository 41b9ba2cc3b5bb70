// Which changes of the address are a step of the browser's history.
//
// Streamlit makes a step of every change. Here a step is another page, or another value of one of the parameters that
// Python names; whatever else the address says changes within its step, so that Back goes to what was seen before.
// And it is what the person does: between Back and that, nothing is. A run of the page that was left may still arrive.
// A file that is dropped where nothing takes it is none, either: the browser would leave the app to show it.

const WATCHED = Symbol.for("vqvae-explorer:steps"); // on the history, for as long as this document is there
const DOES = ["pointerdown", "click", "keydown", "drop", "change"];
let steps = []; // names of parameters
let untouched = false; // since Back or Forward

export default function ({ data }) {
  steps = data;
  if (history[WATCHED]) return;
  history[WATCHED] = true;
  const push = history.pushState;
  history.pushState = (state, title, asked) => {
    const url = carried(asked);
    if (untouched && url.pathname !== location.pathname) return; // of the page that was left
    (isStep(url) && !untouched ? push : history.replaceState).call(history, state, title, url);
  };
  addEventListener("popstate", () => (untouched = true));
  for (const event of DOES) addEventListener(event, () => (untouched = false), { capture: true });
  for (const event of ["dragover", "drop"]) addEventListener(event, stay); // last of all that may take a file
}

/** Nothing comes of a file that nothing on the page takes. */
function stay(event) {
  if (event.defaultPrevented || !event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  event.dataTransfer.dropEffect = "none"; // as the pointer then says
}

function isStep(there) {
  const here = new URL(location.href);
  return here.pathname !== there.pathname || steps.some((name) => here.searchParams.get(name) !== there.searchParams.get(name));
}

/** Another page is asked for by its path alone: what was chosen is chosen there, too. */
function carried(url) {
  const there = new URL(url ?? "", location.href);
  if (there.pathname !== location.pathname && !there.search) there.search = location.search;
  return there;
}
