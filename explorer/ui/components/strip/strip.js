// The steps of the walkthrough, numbered, as tabs with a small drawing each.

const strips = new WeakMap();

export default function ({ parentElement, data, setTriggerValue }) {
  let strip = strips.get(parentElement);
  if (!strip) {
    strip = new Strip(parentElement);
    strips.set(parentElement, strip);
  }
  strip.setTriggerValue = setTriggerValue;
  strip.receive(data);
}

class Strip {
  constructor(root) {
    this.holder = document.createElement("div");
    this.holder.className = "strip";
    this.holder.setAttribute("role", "tablist");
    this.holder.setAttribute("aria-label", "Steps");
    this.holder.addEventListener("keydown", (event) => this.move(event));
    root.appendChild(this.holder);
  }

  receive({ cards, opened }) {
    this.cards = cards;
    while (this.holder.children.length < cards.length) this.holder.appendChild(this.makeCard());
    while (this.holder.children.length > cards.length) this.holder.lastChild.remove();
    cards.forEach(({ title, fact, drawing }, number) => {
      const card = this.holder.children[number];
      card.querySelector(".number").textContent = number + 1;
      card.querySelector(".title").textContent = title;
      card.querySelector(".fact").textContent = fact;
      card.querySelector(".drawing").innerHTML = drawing;
    });
    this.show(opened);
  }

  makeCard() {
    const card = document.createElement("button");
    card.setAttribute("role", "tab");
    card.innerHTML =
      '<span class="name"><span class="number"></span><span class="title"></span></span>' +
      '<span class="drawing"></span><span class="fact"></span>';
    card.addEventListener("click", () => this.pick([...this.holder.children].indexOf(card)));
    return card;
  }

  show(opened) {
    this.opened = Math.max(0, this.cards.findIndex((card) => card.name === opened));
    [...this.holder.children].forEach((card, number) => {
      card.setAttribute("aria-selected", number === this.opened);
      card.tabIndex = number === this.opened ? 0 : -1;
    });
  }

  pick(number) {
    if (number < 0 || number >= this.cards.length) return;
    this.show(this.cards[number].name);
    this.setTriggerValue("picked", this.cards[number].name);
  }

  move(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    this.pick(this.opened + step);
    this.holder.children[this.opened].focus();
  }
}
