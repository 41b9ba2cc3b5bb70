// The tools, and the options of the one in hand.

const TOOLS_MARKUP = `
      <div class="tools" role="toolbar" aria-orientation="vertical" aria-label="Tools">
        ${TOOL_LIST.map(({ name, glyph, label }) => `<button data-tool="${name}" aria-label="${label}">${icon(glyph)}</button>`).join("")}
      </div>`;

const OPTIONS_MARKUP = `
        <div class="options">
          <label class="size"><span>Brush</span><input type="range" min="1" max="${MOST_SIZE}" step="1"><output></output></label>
          <label class="percent"><span>Blend to</span><input type="range" min="0" max="100" step="5"><output></output></label>
          <label class="contiguous"><input type="checkbox"> Joined cells only</label>
          <span class="selecting"></span>
          <p class="advice" role="status"></p>
        </div>`;

class ToolsView extends View {
  topics = ["habits", "answer", "selection", "complaint", "grid", "asked"];

  /** handlers: tool(name), size(cells), percent(number), contiguous(flag), act(action). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.pointed = null; // the tool whose name the line below the picture says; a tip would lie over the picture
    this.onChoice("tool", handlers.tool);
    for (const [event, there] of [["pointerenter", true], ["focus", true], ["pointerleave", false], ["blur", false]]) {
      this.on("[data-tool]", event, ({ currentTarget }) => this.pointAt(there ? currentTarget.dataset.tool : null));
    }
    this.on(".size input", "input", (event) => handlers.size(Number(event.target.value)));
    this.on(".percent input", "input", (event) => handlers.percent(Number(event.target.value)));
    this.on(".contiguous input", "change", (event) => handlers.contiguous(event.target.checked));
  }

  pointAt(tool) {
    this.pointed = TOOL_LIST.find(({ name }) => name === tool) ?? null;
    if (this.model.ready) this.find(".advice").textContent = this.advice();
  }

  draw() {
    const { model } = this;
    const { tool, size, percent, contiguous } = model.habits;
    this.press("tool", tool);
    this.root.querySelectorAll("[data-tool]").forEach((button) => (button.hidden = !model.usable(button.dataset.tool)));
    this.find(".size").hidden = !STROKES.includes(tool);
    this.find(".percent").hidden = tool !== "blend" && !model.selecting;
    this.find(".contiguous").hidden = tool !== "wand";
    this.find(".contiguous input").checked = contiguous;
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
    const { inputsPage, selecting, selected: { places, hasCopy, floating } } = model;
    const holder = this.find(".selecting");
    const key = selecting ? JSON.stringify([places.length > 0, hasCopy, inputsPage, Boolean(floating)]) : "";
    if (holder.dataset.shown === key) return;
    holder.dataset.shown = key;
    const actions = SELECTION_ACTIONS.filter(([, , , everywhere]) => selecting && (everywhere || !inputsPage));
    refill(holder, actions.map(([action, label, tip]) => {
      const button = textElement("button", label);
      button.className = "quiet";
      button.dataset.tip = tip;
      const turns = floating && TURNS.includes(action);
      button.disabled = action === "paste" ? !hasCopy : !places.length && !turns;
      button.addEventListener("click", () => this.handlers.act(action));
      return button;
    }));
  }

  /** Why nothing happened, what is marked on the grid, or what the tool in hand is for. */
  advice() {
    const { asked: { overlay }, complaint, marked, selected: { floating }, habits } = this.model;
    if (this.pointed) return `${this.pointed.label}: ${this.pointed.does} · ${this.pointed.key}`;
    if (complaint) return complaint;
    if (floating) return "Click where the copy belongs, or press Enter; Escape drops it.";
    if (overlay === "blend") return this.blendAdvice();
    if (overlay !== "none" && marked?.kind === overlay) return marked.sentence;
    const { hint } = TOOL_LIST.find(({ name }) => name === habits.tool);
    return matchMedia("(pointer: coarse)").matches ? `${hint.split(";")[0].replace(/\.$/, "")}.` : hint;
  }

  blendAdvice() {
    const painted = this.model.state.weights.some((weight) => weight !== UNPAINTED);
    return painted ? "Bright cells get all of their embedding, dark ones none; the others are as the slider says."
      : "No cell has a blend of its own yet: paint one with the blend brush (W).";
  }
}
