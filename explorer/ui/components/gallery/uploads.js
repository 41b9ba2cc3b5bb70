// The visitor's own pictures, kept in the browser: a reload is a new visit to Python, which gets them back from here.
//
// The files are kept for all tabs. Which of them a tab shows is in its sessionStorage: `{ visit, digests, chosen }`.

const REMEMBERED = "vqvae-explorer uploads";
const MOST_KEPT = 24;
const MOST_KEPT_BYTES = 100 * 2 ** 20;
const MOST_SENT_BYTES = 15 * 2 ** 20; // in one message, but for a single file that is larger
const ANSWER_DELAY = 10000; // ms until what was said to Python is taken for lost
const MOST_ASKED = 3; // times for one file

class Uploads {
  /** say: (name, value) -> tells Python. */
  constructor(say) {
    this.say = say;
    this.box = new Box("pictures");
    this.wanted = new Map(); // digest -> when, and how often, Python was asked for its file
    this.restoring = null; // what is on its way back to Python
    this.done = Promise.resolve();
  }

  /** Take in what Python shows: one after the other. */
  take(shown) {
    this.done = this.done.then(() => this.follow(shown));
  }

  /**
   * own: digests, oldest first; wanted: one that Python shows nothing without, or null; restored: number of the newest
   * pictures that were sent back and looked at.
   */
  async follow({ visit, own, chosen, wanted, restored, files }) {
    for (const { digest, name, values } of files) await this.keep(digest, name, values);
    if (this.restoring?.visit !== visit || this.restoring.wanted !== wanted) this.begin(visit, own, wanted);
    if (!(await this.restore(own, restored))) return;
    if (wanted) return void this.say("lost", { picture: wanted, time: Date.now() }); // another value each time
    writeStored("sessionStorage", REMEMBERED, { visit, digests: own, chosen: own.includes(chosen) ? chosen : null });
    await this.ask(own);
  }

  /** A file that is here already, as a pasted one is: Python need not send it. */
  async paste(name, bytes) {
    if (!crypto.subtle) return; // the page did not come over a secure connection
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    await this.keep([...digest].map((byte) => byte.toString(16).padStart(2, "0")).join(""), name, bytes);
  }

  async keep(digest, name, bytes) {
    await this.box.put({ id: digest, name, time: Date.now(), bytes: bytes.length }, bytes.slice());
    await this.box.bound({ most: MOST_KEPT, mostBytes: MOST_KEPT_BYTES, spared: (id) => id === digest });
  }

  async forget(digest) {
    this.say("forgotten", digest);
    await this.box.remove([digest]);
  }

  /** Ask Python for the files that the browser lacks. */
  async ask(own) {
    if (!(await this.box.lasts())) return;
    const kept = new Set((await this.box.heads()).map(({ id }) => id));
    const lacking = own.filter((digest) => !kept.has(digest) && this.wants(digest));
    if (lacking.length) this.say("lacking", lacking);
  }

  /** Whether to ask for a file, now: an answer may be lost, but what the browser has no room for is not asked for without end. */
  wants(digest) {
    const { at, times } = this.wanted.get(digest) ?? { at: -Infinity, times: 0 };
    if (times === MOST_ASKED || performance.now() - at < ANSWER_DELAY) return false;
    this.wanted.set(digest, { at: performance.now(), times: times + 1 });
    return true;
  }

  // --- what Python does not have

  /** Those of this tab, in a new visit, and the one that is wanted. */
  begin(visit, own, wanted) {
    const remembered = readStored("sessionStorage", REMEMBERED);
    const lacks = (digest) => !own.includes(digest);
    const tabs = remembered && remembered.visit !== visit ? remembered.digests.filter(lacks) : [];
    const left = wanted && !tabs.includes(wanted) ? [...tabs, wanted] : tabs;
    const chosen = tabs.length && !linksToPicture() ? remembered.chosen : null;
    this.restoring = { visit, wanted, left, chosen, sent: [], number: this.restoring?.number ?? 0, at: 0 };
  }

  /** Send the pictures of this tab back, some at a time, in their order; returns whether all are there. */
  async restore(own, restored) {
    const now = this.restoring;
    if (now.sent.length) {
      const answered = restored === now.number || now.sent.every((digest) => own.includes(digest));
      if (!answered && performance.now() - now.at < ANSWER_DELAY) return false;
      if (answered) await this.box.remove(now.sent.filter((digest) => !own.includes(digest))); // no pictures after all
      else now.left.unshift(...now.sent);
    }
    const pictures = await this.next(now);
    if (!pictures.length) return true;
    now.number += 1;
    now.at = performance.now();
    this.say("restored", { number: now.number, chosen: now.chosen, pictures });
    return false;
  }

  /** The pictures to send now; what is no longer kept is passed over. */
  async next(now) {
    const pictures = [];
    let size = 0;
    now.sent = [];
    while (now.left.length) {
      const kept = await this.box.read(now.left[0]);
      if (kept && size && size + kept.body.length > MOST_SENT_BYTES) break;
      const digest = now.left.shift();
      if (!kept) continue;
      now.sent.push(digest);
      pictures.push({ name: kept.head.name, data: toBase64(kept.body) });
      size += kept.body.length;
    }
    return pictures;
  }
}

/** Whether the link that the page was opened with names a picture. */
function linksToPicture() {
  const [opened] = performance.getEntriesByType("navigation");
  return new URL(opened?.name ?? location.href).searchParams.has("picture");
}

function toBase64(bytes) {
  let text = "";
  for (let from = 0; from < bytes.length; from += 0x8000) text += String.fromCharCode(...bytes.subarray(from, from + 0x8000));
  return btoa(text);
}
