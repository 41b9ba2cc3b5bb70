// Thumbnails to choose from, and Ctrl+V anywhere on the page for a picture from the clipboard.

const galleries = new WeakMap();
const EDGE = 40; // CSS pixels that are kept free beside a thumbnail: the next one shows that there is more
const MOST_BYTES = 20 * 1024 * 1024; // as server.maxUploadSize

export default function ({ parentElement, data, setTriggerValue }) {
  let gallery = galleries.get(parentElement);
  if (!gallery) {
    gallery = { list: document.createElement("div"), setTriggerValue };
    gallery.list.className = "gallery";
    gallery.list.setAttribute("role", "listbox");
    gallery.list.setAttribute("aria-label", "Pictures");
    gallery.list.addEventListener("keydown", moveFocus);
    parentElement.appendChild(gallery.list);
    gallery.paste = (event) => paste(event, gallery);
    galleries.set(parentElement, gallery);
  }
  gallery.setTriggerValue = setTriggerValue;
  document.removeEventListener("paste", gallery.paste);
  document.addEventListener("paste", gallery.paste);
  draw(gallery, data);
  return () => document.removeEventListener("paste", gallery.paste);
}

function draw(gallery, { entries, chosen }) {
  const shown = entries.map((entry) => entry.name).join("\n");
  if (gallery.shown !== shown) {
    gallery.shown = shown;
    gallery.list.replaceChildren(...entries.map((entry) => thumbnail(gallery, entry)));
  }
  const buttons = [...gallery.list.children];
  const current = Math.max(0, buttons.findIndex((button) => button.dataset.name === chosen));
  buttons.forEach((button, number) => {
    button.setAttribute("aria-selected", button.dataset.name === chosen);
    button.tabIndex = number === current ? 0 : -1; // one stop for Tab; arrow keys go on from there
  });
  if (gallery.chosen !== chosen) bringIntoView(gallery.list, buttons[current]);
  gallery.chosen = chosen;
}

/** Scroll the row, and never the page around it. */
function bringIntoView(list, button) {
  if (!button) return;
  const [left, right] = [button.offsetLeft, button.offsetLeft + button.offsetWidth];
  if (left < list.scrollLeft) list.scrollLeft = left - EDGE;
  else if (right > list.scrollLeft + list.clientWidth) list.scrollLeft = right - list.clientWidth + EDGE;
}

function moveFocus(event) {
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const buttons = [...event.currentTarget.children];
  const next = buttons[buttons.indexOf(event.target) + step];
  next?.focus({ preventScroll: true });
  bringIntoView(event.currentTarget, next);
}

function thumbnail(gallery, { name, title, source }) {
  const button = document.createElement("button");
  button.dataset.name = name;
  button.setAttribute("role", "option");
  button.title = title;
  const image = document.createElement("img");
  image.src = source;
  image.alt = title;
  button.appendChild(image);
  button.addEventListener("click", () => gallery.setTriggerValue("picked", name));
  return button;
}

async function paste(event, gallery) {
  const file = [...(event.clipboardData?.files ?? [])].find((candidate) => candidate.type.startsWith("image/"));
  if (!file || file.size > MOST_BYTES) return;
  event.preventDefault();
  const bytes = new Uint8Array(await file.arrayBuffer());
  let text = "";
  for (let start = 0; start < bytes.length; start += 32768) {
    text += String.fromCharCode(...bytes.subarray(start, start + 32768));
  }
  gallery.setTriggerValue("pasted", btoa(text));
}
