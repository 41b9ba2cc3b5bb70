// What the editor says of edits that are kept: drafts to bring back, and what was left behind.

const OFFERS = `
  <section class="offers" aria-label="Kept edits" hidden>
    <b></b><ul></ul><button class="quiet fold"></button>
  </section>`;
const LEFT_BEHIND = `
  <p class="left-behind" role="status" hidden><span></span><button class="quiet" aria-label="Close">×</button></p>`;

/** The drafts of the picture that is shown, each to bring back or to discard; folded away they stay in reach. */
class Offers {
  /**
   * holder: where the bar is put.
   * present: () -> the history that strokes go into.
   * read: (document) -> the history that it is; null where it does not fit this grid.
   * open: (history) -> puts it in the place of the present one.
   */
  constructor(holder, { present, read, open }) {
    Object.assign(this, { present, read, open, content: "", drafts: [], answering: false, clock: 0 });
    Object.assign(this, { misfits: new Set(), folded: new Set() }); // ids of drafts, and contents
    holder.insertAdjacentHTML("afterbegin", OFFERS);
    this.element = holder.firstElementChild;
    this.element.querySelector(".fold").addEventListener("click", () => this.fold());
  }

  /** Look for drafts of a content: of those that strokes go into now, here or in another open tab, none is lost. */
  async show(content) {
    if (this.content !== content) this.put(content, []);
    const drafts = await Drafts.list(content);
    if (this.content === content) this.put(content, drafts.filter(({ here, open }) => !here && !open));
  }

  put(content, drafts) {
    for (const { id } of this.drafts) Drafts.offered.delete(id);
    for (const { id } of drafts) Drafts.offered.add(id);
    Object.assign(this, { content, drafts });
    this.draw();
  }

  /** Away to a small button, or back. */
  fold() {
    if (!this.folded.delete(this.content)) this.folded.add(this.content);
    this.draw();
  }

  /** Go on with a draft; what was painted since is kept as one more. */
  async take({ id, content }) {
    const draft = await Drafts.read(id);
    if (content !== this.content) return;
    const history = draft && this.read(draft.document);
    if (!history) {
      this.misfits.add(id);
      this.draw();
      return;
    }
    if (this.present().entries.length) Drafts.seal(content);
    this.open(history);
    await Drafts.write(); // it is in the draft of this page before it goes from the list
    await this.drop({ id, content });
  }

  async drop({ id, content }) {
    await Drafts.forget(id);
    await this.show(content);
  }

  /** Do what a button says; not twice for two clicks. */
  async answer(action) {
    if (this.answering) return;
    this.answering = true;
    await action();
    this.answering = false;
  }

  /** From now on the times are kept right. */
  start() {
    this.clock ||= setInterval(() => this.draw(), 60000);
  }

  stop() {
    clearInterval(this.clock);
    this.clock = 0;
  }

  draw() {
    const { drafts } = this;
    const folded = this.folded.has(this.content);
    this.element.hidden = !drafts.length;
    this.element.classList.toggle("folded", folded);
    this.element.querySelector("b").textContent = drafts.length === 1 ? "An edit of this picture is kept" : "Edits of this picture are kept";
    this.element.querySelector(".fold").textContent = folded ? counted(drafts.length, "kept edit") : "Not now";
    refill(this.element.querySelector("ul"), folded ? [] : drafts.map((draft) => this.row(draft)));
  }

  row(draft) {
    const row = document.createElement("li");
    row.className = "offer";
    row.append(textElement("span", `${counted(draft.steps, "step")}, ${ago(Date.now() - draft.time)}`));
    if (this.misfits.has(draft.id)) row.append(textElement("span", "It does not fit this grid."));
    else row.append(this.button("Bring it back", () => this.take(draft)));
    row.append(this.button("Discard", () => this.drop(draft)));
    return row;
  }

  button(label, action) {
    const button = textElement("button", label);
    button.addEventListener("click", () => this.answer(action));
    return button;
  }
}

/** One quiet line: the edit that was open before this one is kept, and how to come back to it. */
class LeftBehind {
  static former = null; // { content, about } of what was edited last, in any editor of this tab

  constructor(holder) {
    holder.insertAdjacentHTML("afterbegin", LEFT_BEHIND);
    this.element = holder.firstElementChild;
    this.element.querySelector("button").addEventListener("click", () => (this.element.hidden = true));
  }

  /** This content is open now; about: { checkpoint, picture, size }. */
  arrive(content, about) {
    const { former } = LeftBehind;
    LeftBehind.former = { content, about };
    if (former?.content === content) return;
    const steps = Histories.find(former?.content)?.history.entries.length ?? 0;
    this.element.hidden = !steps;
    if (steps) this.element.querySelector("span").textContent = farewell(former.about, about, steps);
  }
}

/** What to say of an edit of so many steps that was left, and what differs between there and here. */
function farewell(there, here, steps) {
  const differs = (name) => there && here && there[name] !== here[name];
  const ways = [
    differs("picture") && [`of “${there.picture}”`, `“${there.picture}”`],
    differs("size") && [`at ${there.size} px`, `${there.size} px`],
    differs("checkpoint") && [`made with ${there.checkpoint}`, there.checkpoint],
  ].filter(Boolean);
  const edit = ["Your edit", !differs("picture") && ways.length && "of this picture", ...ways.map(([phrase]) => phrase)];
  const again = ways.length ? ways.map(([, name]) => name).join(" and ") : "what it started from";
  return `${edit.filter(Boolean).join(" ")} (${counted(steps, "step")}) is kept; choose ${again} again to go on with it.`;
}

function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function ago(milliseconds) {
  const minutes = Math.round(milliseconds / 60000);
  if (minutes < 1) return "a moment ago";
  if (minutes < 60) return `${minutes} min ago`;
  return minutes < 2880 ? `${Math.round(minutes / 60)} h ago` : `${Math.round(minutes / 1440)} days ago`;
}
