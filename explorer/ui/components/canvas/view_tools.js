// The tools, and the options of the one in hand.

const TOOLS_MARKUP = `
      <div class="tools" role="toolbar" aria-orientation="vertical" aria-label="Tools">
        ${TOOL_LIST.map(([name, key, glyph, tip]) => `<button data-tool="${name}" aria-label="${tip.split(":")[0]}" data-tip="${tip} · ${key}">${icon(glyph)}</button>`).join("")}
      </div>`;

const OPTIONS_MARKUP = `
        <div class="options">
          <label class="size"><span>Brush</span><input type="range" min="1" max="${MOST_SIZE}" step="1"><output></output></label>
          <label class="percent"><span>Blend to</span><input type="range" min="0" max="100" step="5"><output></output></label>
          <span class="selecting"></span>
          <p class="advice"></p>
        </div>`;

class ToolsView extends View {
  topics = ["habits", "answer", "selection", "complaint", "grid", "asked"];

  /** handlers: tool(name), size(cells), percent(number), act(action). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.onChoice("tool", handlers.tool);
    this.on(".size input", "input", (event) => handlers.size(Number(event.target.value)));
    this.on(".percent input", "input", (event) => handlers.percent(Number(event.target.value)));
  }

  draw() {
    const { model } = this;
    const { tool, size, percent } = model.habits;
    this.press("tool", tool);
    this.root.querySelectorAll("[data-tool]").forEach((button) => (button.hidden = !model.usable(button.dataset.tool)));
    this.find(".size").hidden = !STROKES.includes(tool);
    this.find(".percent").hidden = tool !== "blend" && tool !== "select";
    this.drawRange(".size", size, [1, MOST_SIZE], size);
    this.drawRange(".percent", percent, model.inputsPage ? [-50, 150] : [0, 100], `${percent} %`);
    this.drawActions();
    this.find(".advice").textContent = this.advice();
  }

  drawRange(selector, value, [low, high], words) {
    const range = this.find(`${selector} input`);
    [range.min, range.max, range.value] = [low, high, value];
    this.find(`${selector} output`).textContent = words;
    fillRange(range);
  }

  drawActions() {
    const { model } = this;
    const { selection, inputsPage, hasCopy } = model;
    const holder = this.find(".selecting");
    const selecting = model.habits.tool === "select";
    const key = selecting ? `${Boolean(selection)} ${hasCopy} ${inputsPage}` : "";
    if (holder.dataset.shown === key) return;
    holder.dataset.shown = key;
    const actions = SELECTION_ACTIONS.filter(([, , , everywhere]) => selecting && (everywhere || !inputsPage));
    refill(holder, actions.map(([action, label, tip]) => {
      const button = textElement("button", label);
      button.className = "quiet";
      button.dataset.tip = tip;
      button.disabled = action === "paste" ? !hasCopy : !selection;
      button.addEventListener("click", () => this.handlers.act(action));
      return button;
    }));
  }

  /** What is marked on the grid, or why nothing happened. */
  advice() {
    const { asked: { overlay }, complaint, marked, state } = this.model;
    if (complaint) return complaint;
    if (overlay !== "blend") return marked?.kind === overlay ? marked.sentence : "";
    const painted = state.weights.some((weight) => weight !== UNPAINTED);
    return painted ? "Bright cells get all of their embedding, dark ones none; the others are as the slider says."
      : "No cell has a blend of its own yet: paint one with the blend brush (W).";
  }
}
