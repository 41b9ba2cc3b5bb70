// What Python says of the edit: figures, sentence, verdicts, rules.

const VERDICT_MARKUP = `
        <div class="verdicts" hidden></div>
        <div class="figures"></div>`;

const RULES_MARKUP = `
    <div class="controls rules">
      <div class="segments" role="group" aria-label="Embedding of edited cells">
        <button data-rule="follow">Follow</button><button data-rule="carry">Carry</button><button data-rule="keep">Keep</button>
      </div>
      <p class="rule"></p>
    </div>`;

/** Figures, sentence and verdicts; where an answer has none of its own, or none comes, those of the last one, greyed. */
class AnswerView extends View {
  topics = ["answer"];

  draw() {
    const { message, inputsPage } = this.model;
    this.drawStale(".sentence", message.sentence, (place, sentence) => (place.textContent = sentence));
    this.drawStale(".figures", message.figures, drawFigures);
    this.drawStale(".verdicts", message.verdicts, drawVerdicts);
    this.find(".verdicts").hidden = !inputsPage || !this.find(".verdicts").textContent;
  }

  drawStale(selector, value, draw) {
    const place = this.find(selector);
    if (value !== null && value !== undefined) draw(place, value);
    place.classList.toggle("stale", value === null || !this.model.connected);
  }
}

function drawVerdicts(place, verdicts) {
  refill(place, verdicts.map(([grade, sentence, details]) => {
    const line = document.createElement("p");
    line.className = `verdict ${grade}`;
    line.append(document.createElement("i"), textElement("span", sentence));
    if (details) [line.tabIndex, line.dataset.tip] = [0, details];
    return line;
  }));
}

/** The switch and the slider that say how much of the embedding the decoder gets. */
class BlendView extends View {
  topics = ["blend", "asked", "answer"];

  /** handlers: blend(values, dragging). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.controls = new BlendControls(root, handlers.blend);
  }

  draw() {
    const { message, asked } = this.model;
    this.controls.draw(message.inputs, asked, message.blends);
  }
}

const RULES_IDLE = "The decoder gets the codes alone, so the rules make no difference.";

/** The rules of what an edited cell's embedding becomes. */
class RulesView extends View {
  topics = ["asked", "blend", "answer", "grid"];

  /** handlers: rule(name). */
  constructor(root, model, handlers) {
    super(root, model, handlers);
    this.onChoice("rule", handlers.rule);
  }

  draw() {
    const { asked, message, inputsPage } = this.model;
    this.find(".rules").hidden = inputsPage;
    this.press("rule", asked.rule);
    const idle = this.isIdle();
    this.root.querySelectorAll("[data-rule]").forEach((button) => {
      button.disabled = idle;
      if (idle) button.dataset.tip = RULES_IDLE;
      else delete button.dataset.tip;
    });
    this.find(".rule").textContent = idle ? RULES_IDLE : message.rules[asked.rule];
  }

  /** Whether no cell gets any of its embedding: then it does not matter which one that is. */
  isIdle() {
    const { level, state } = this.model;
    return state.weights.every((weight) => (weight === UNPAINTED ? level : weight) === 0);
  }
}
