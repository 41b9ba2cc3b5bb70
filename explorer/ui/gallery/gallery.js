// Thumbnails to choose from, and Ctrl+V anywhere on the page for a picture from the clipboard.

const galleries = new WeakMap();
const MOST_BYTES = 20 * 1024 * 1024; // as server.maxUploadSize

export default function ({ parentElement, data, setTriggerValue }) {
  let gallery = galleries.get(parentElement);
  if (!gallery) {
    gallery = { list: document.createElement("div"), setTriggerValue };
    gallery.list.className = "gallery";
    gallery.list.setAttribute("role", "listbox");
    gallery.list.setAttribute("aria-label", "Pictures");
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
  for (const button of gallery.list.children) {
    button.setAttribute("aria-selected", button.dataset.name === chosen);
  }
  gallery.list.querySelector('[aria-selected="true"]')?.scrollIntoView({ block: "nearest", inline: "nearest" });
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
