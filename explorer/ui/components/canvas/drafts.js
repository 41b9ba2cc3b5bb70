// What the browser keeps of edits for itself, so that a reload or a restarted server loses nothing.

/** Drafts in the browser's storage: what a reload or a restarted server would lose. */
const Drafts = {
  prefix: "vqvae-explorer draft ",
  most: 20,

  keep(content, document) {
    const text = JSON.stringify({ time: Date.now(), document });
    for (const key of [null, ...this.keys()]) {
      if (key) localStorage.removeItem(key); // full: the oldest goes first
      try {
        localStorage.setItem(this.prefix + content, text);
        break;
      } catch {
        continue;
      }
    }
    for (const key of this.keys().slice(0, -this.most)) localStorage.removeItem(key);
  },

  find(content) {
    return this.read(this.prefix + content);
  },

  forget(content) {
    localStorage.removeItem(this.prefix + content);
  },

  /** Our keys, oldest draft first. */
  keys() {
    const ours = Object.keys(localStorage).filter((key) => key.startsWith(this.prefix));
    return ours.sort((a, b) => (this.read(a)?.time ?? 0) - (this.read(b)?.time ?? 0));
  },

  read(key) {
    try {
      return JSON.parse(localStorage.getItem(key));
    } catch {
      return null;
    }
  },
};

function ago(milliseconds) {
  const minutes = Math.round(milliseconds / 60000);
  if (minutes < 1) return "a moment ago";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
}
