// Which changes of the address are a step of the browser's history.
//
// Streamlit makes a step of every change. Here a step is another page, or another value of one of the parameters that
// Python names; whatever else the address says changes within its step, so that Back goes to what was seen before.

let steps = []; // names of parameters

export default function ({ data }) {
  steps = data;
  if (Object.hasOwn(history, "pushState")) return; // for as long as this document is there
  const push = history.pushState;
  Object.defineProperty(history, "pushState", {
    value(state, title, asked) {
      const url = carried(asked);
      (isStep(url) ? push : history.replaceState).call(history, state, title, url);
    },
  });
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
