// All keys, over the editor; and on a narrow screen, what has to be in reach of the thumb.

const KEYS_MARKUP = `
    <dialog class="keys" aria-label="Keys">
      <header><b>Keys</b><button class="quiet close-keys" aria-label="Close">${icon("close")}</button></header>
      <div class="key-groups">
        ${KEYS.map(([title, entries]) => `<section><h4>${title}</h4><dl>${entries.map(({ keys, does }) =>
          `<div><dt>${keys.map((key) => `<kbd>${key}</kbd>`).join(" ")}</dt><dd>${does}</dd></div>`).join("")}</dl></section>`).join("")}
      </div>
    </dialog>`;

const REACH_MARKUP = `
    <div class="reach" role="toolbar" aria-label="In reach">
      <button data-reach="undo" aria-label="Undo the last step">${icon("undo")}</button>
      <button data-reach="redo" aria-label="Do it again">${icon("redo")}</button>
      <span class="reach-tool"></span>
      <i class="reach-code tile"></i><b class="reach-name"></b>
    </div>`;

class KeysView extends View {
  topics = [];

  /** handlers: close(). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.panel = this.find(".keys");
    this.on(".close-keys", "click", handlers.close);
  }

  get open() {
    return this.panel.open;
  }

  show(open) {
    if (open) this.panel.showModal();
    else this.panel.close();
  }
}

/** Undo, redo, tool and code, at the lower edge of a narrow screen. */
class ReachView extends View {
  topics = ["grid", "asked", "habits", "answer", "tiles"];

  /** handlers: undo(), redo(). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.onChoice("reach", (action) => handlers[action]());
  }

  draw() {
    const { history, habits, asked, atlas, inputsPage } = this.model;
    this.find("[data-reach=undo]").disabled = !history.canUndo;
    this.find("[data-reach=redo]").disabled = !history.canRedo;
    this.find(".reach-tool").textContent = TOOL_LIST.find(({ name }) => name === habits.tool).label;
    this.find(".reach-code").hidden = this.find(".reach-name").hidden = inputsPage;
    atlas.show(this.find(".reach-code"), asked.code);
    this.find(".reach-name").textContent = asked.code;
  }
}
