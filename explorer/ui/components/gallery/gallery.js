// Thumbnails to choose from; Ctrl+V anywhere on the page for a picture from the clipboard, and a drop for files.

const galleries = new WeakMap();
const EDGE = 40; // CSS pixels that are kept free beside a thumbnail: the next one shows that there is more
const MOST_BYTES = 20 * 1024 * 1024; // as server.maxUploadSize
const UNANSWERED = "vqvae-explorer:unanswered"; // as in transport.js
let say = null; // tells Python, by the newest message: Streamlit makes new setters for each
const uploads = new Uploads((name, value) => say(name, value));

export default function ({ parentElement, data, setTriggerValue }) {
  say = setTriggerValue;
  let gallery = galleries.get(parentElement);
  if (!gallery) {
    gallery = { list: document.createElement("div"), target: dropTarget() };
    gallery.list.className = "gallery";
    gallery.list.setAttribute("role", "listbox");
    gallery.list.setAttribute("aria-label", "Pictures");
    gallery.list.addEventListener("keydown", keyDown);
    parentElement.append(gallery.list, gallery.target);
    galleries.set(parentElement, gallery);
  }
  unlisten();
  target = gallery.target;
  for (const [place, event, listener] of LISTENERS) place.addEventListener(event, listener);
  const shown = unpack(data);
  draw(gallery, shown);
  uploads.take({
    ...shown,
    own: shown.entries.filter(({ own }) => own).map(({ name }) => name).reverse(),
    files: shown.files.map((file, number) => ({ ...file, values: shown[`file ${number}`].values })),
  });
  return unlisten;
}

function unlisten() {
  for (const [place, event, listener] of LISTENERS) place.removeEventListener(event, listener);
}

/** A server that was restarted knows no part of the page: only a run of the whole page brings its parts back. */
function runPage() {
  say("unanswered", Date.now()); // another value each time, or it would not be said again
}

function draw(gallery, { entries, chosen }) {
  const shown = entries.map((entry) => entry.name).join("\n");
  if (gallery.shown !== shown) {
    gallery.shown = shown;
    gallery.list.replaceChildren(...entries.map(thumbnail));
  }
  const options = optionsOf(gallery.list);
  const current = Math.max(0, options.findIndex((option) => option.dataset.name === chosen));
  options.forEach((option, number) => {
    option.setAttribute("aria-selected", option.dataset.name === chosen);
    option.tabIndex = number === current ? 0 : -1; // one stop for Tab; arrow keys go on from there
  });
  if (gallery.chosen !== chosen) bringIntoView(gallery.list, options[current]);
  gallery.chosen = chosen;
}

function optionsOf(list) {
  return [...list.querySelectorAll("[role=option]")];
}

/** Scroll the row, and never the page around it. */
function bringIntoView(list, option) {
  if (!option) return;
  const { offsetLeft: left, offsetWidth: width } = option.parentElement;
  if (left < list.scrollLeft) list.scrollLeft = left - EDGE;
  else if (left + width > list.scrollLeft + list.clientWidth) list.scrollLeft = left + width - list.clientWidth + EDGE;
}

function keyDown(event) {
  const option = event.target.closest("[role=option]");
  if (option?.dataset.own && event.key === "Delete") uploads.forget(option.dataset.name);
  const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
  if (!step || !option) return;
  event.preventDefault();
  const options = optionsOf(event.currentTarget);
  const next = options[options.indexOf(option) + step];
  next?.focus({ preventScroll: true });
  bringIntoView(event.currentTarget, next);
}

/** A picture to choose; one of the visitor's own can also be forgotten. */
function thumbnail({ name, title, source, own }) {
  const place = document.createElement("span");
  place.setAttribute("role", "none");
  const option = document.createElement("button");
  option.dataset.name = name;
  option.setAttribute("role", "option");
  option.title = title;
  const image = document.createElement("img");
  image.src = source;
  image.alt = title;
  option.appendChild(image);
  option.addEventListener("click", () => say("picked", name));
  place.append(option);
  if (own) {
    option.dataset.own = true;
    place.append(forgetButton(name, title));
  }
  return place;
}

function forgetButton(name, title) {
  const button = document.createElement("button");
  button.className = "forget";
  button.textContent = "×";
  button.title = "Forget this picture (Delete)";
  button.setAttribute("aria-label", `Forget ${title}`);
  button.tabIndex = -1;
  button.addEventListener("click", () => uploads.forget(name));
  return button;
}

async function paste(event) {
  const file = [...(event.clipboardData?.files ?? [])].find((candidate) => candidate.type.startsWith("image/"));
  if (!file) return;
  event.preventDefault();
  if (file.size > MOST_BYTES) return give(event.clipboardData.files); // which says that it is too large
  const bytes = new Uint8Array(await file.arrayBuffer());
  say("pasted", toBase64(bytes));
  await uploads.paste("pasted picture", bytes);
}

// --- files that are dropped anywhere on the page

let target = null; // what says that they can be dropped
const ROOT = document.documentElement; // one step before the document, at which Streamlit's upload field takes anything
const LISTENERS = [
  [document, "paste", paste],
  [document, UNANSWERED, runPage],
  [document, "focusin", uploadField],
  [document, "dragleave", dragLeave],
  [ROOT, "dragover", dragOver],
  [ROOT, "drop", drop],
];

function dropTarget() {
  const element = document.createElement("div");
  element.className = "drop";
  element.textContent = "Drop pictures to add them";
  element.hidden = true;
  return element;
}

/** Whether files are dragged over the page, and not over a field that takes them itself. */
function bringsFiles(event) {
  return !event.defaultPrevented && event.dataTransfer?.types.includes("Files");
}

function dragOver(event) {
  target.hidden = !bringsFiles(event);
  if (!target.hidden) event.preventDefault();
}

function dragLeave(event) {
  if (!event.relatedTarget) target.hidden = true; // out of the window
}

/** The field beside the gallery. It takes any file, for Python to say what is wrong with it; to choose from, it offers pictures. */
function uploadField() {
  const field = document.querySelector(".st-key-picture_row input[type=file]");
  if (field) field.accept = "image/*";
  return field;
}

function drop(event) {
  target.hidden = true;
  if (!bringsFiles(event)) return;
  event.preventDefault(); // else the browser leaves the app and opens the file
  give(event.dataTransfer.files);
}

/** Files go the way of the upload field, which sends them outside of the messages and refuses what is too large. */
function give(files) {
  const field = uploadField();
  if (!field) return;
  field.files = files;
  field.dispatchEvent(new Event("change", { bubbles: true }));
}
