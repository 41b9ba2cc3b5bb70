// What the parts of the editor's screen share. Each draws from the model the elements that are its own, when one of
// its `topics` is news, and changes the model only through the handlers that it is given.

class View {
  constructor(root, model, handlers) {
    Object.assign(this, { root, model, handlers });
  }

  find(selector) {
    return this.root.querySelector(selector);
  }

  on(selector, event, action) {
    this.root.querySelectorAll(selector).forEach((element) => element.addEventListener(event, action));
  }

  /** Have each button with data-NAME say its value to a handler. */
  onChoice(name, action) {
    this.on(`[data-${name}]`, "click", (event) => action(event.currentTarget.dataset[name]));
  }

  press(name, value) {
    this.root.querySelectorAll(`button[data-${name}]`).forEach((b) => b.setAttribute("aria-pressed", b.dataset[name] === value));
  }

  swatch(code) {
    const swatch = document.createElement("i");
    swatch.className = "tile";
    this.model.atlas.show(swatch, code);
    return swatch;
  }
}

/** One stop for Tab in a group of buttons, at the chosen one; arrows, Home and End go on from there. */
class Roving {
  /** columns: () -> buttons in a row, for groups of several rows; 1: up and down are as left and right. */
  constructor(holder, columns = () => 1) {
    Object.assign(this, { holder, columns });
    holder.addEventListener("keydown", (event) => this.move(event));
  }

  get buttons() {
    return [...this.holder.querySelectorAll("button")];
  }

  /** The one that Tab leads to: that with the focus, else the chosen one, else the first. */
  rest() {
    const { buttons, holder } = this;
    const focused = buttons.indexOf(holder.getRootNode().activeElement);
    const chosen = focused < 0 ? buttons.findIndex((button) => button.ariaSelected === "true") : focused;
    buttons.forEach((button, number) => (button.tabIndex = number === Math.max(0, chosen) ? 0 : -1));
  }

  move(event) {
    const { buttons } = this;
    const across = this.columns();
    const place = buttons.indexOf(event.target);
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -place, End: buttons.length - 1 - place };
    const next = buttons[place + steps[event.key]];
    if (place < 0 || !(event.key in steps)) return;
    event.preventDefault();
    next?.focus();
    this.rest();
  }
}

/** New children for a holder; where one of the old had the focus, the one in its place has it. */
function refill(holder, children) {
  const focusable = () => [...holder.querySelectorAll("button, [tabindex]")];
  const place = focusable().indexOf(holder.getRootNode().activeElement);
  holder.replaceChildren(...children);
  if (place >= 0) (focusable()[place] ?? focusable().at(-1))?.focus({ preventScroll: true });
}

function fillRange(range) {
  range.style.setProperty("--filled", `${(100 * (range.value - range.min)) / (range.max - range.min)}%`);
}
