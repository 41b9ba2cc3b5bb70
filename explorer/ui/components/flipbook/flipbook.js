// A flipbook: frames in one place, a slider that is live, and a button that plays them to and fro.

const flipbooks = new WeakMap();

export default function ({ parentElement, data }) {
  let flipbook = flipbooks.get(parentElement);
  if (!flipbook) {
    flipbook = new Flipbook(parentElement);
    flipbooks.set(parentElement, flipbook);
  }
  if (data) flipbook.receive(unpack(data));
  return () => flipbook.stop();
}

const FRAME_MS = 90;
const MARKUP = `
  <div class="flipbook">
    <canvas role="img"></canvas>
    <div class="scrub">
      <button></button>
      <span></span><input type="range" min="0" step="1" aria-label="Place between the two pictures"><span></span>
    </div>
    <p aria-live="polite"></p>
  </div>`;

class Flipbook {
  constructor(root) {
    this.root = document.createElement("div");
    this.root.innerHTML = MARKUP;
    this.root.figures = { "": () => inRows([[{ canvas: this.root.querySelector("canvas"), said: this.captions[this.slider.value] }]]) };
    root.appendChild(this.root);
    this.slider = this.root.querySelector("input");
    this.button = this.root.querySelector("button");
    this.step = 1;
    this.slider.addEventListener("input", () => {
      this.stop();
      this.draw();
    });
    this.button.addEventListener("click", () => (this.playing ? this.stop() : this.play()));
    showPlaying(this.button, false);
  }

  receive({ frames, captions, ends }) {
    this.frames = frames;
    this.captions = captions;
    const last = captions.length - 1;
    if (Number(this.slider.max) !== last) [this.slider.max, this.slider.value] = [last, Math.floor(last / 2)];
    this.root.querySelectorAll("span").forEach((span, number) => (span.textContent = ends[number]));
    this.draw();
  }

  draw() {
    const [, height, width] = this.frames.shape;
    const number = Number(this.slider.value);
    const size = height * width * 3;
    const canvas = this.root.querySelector("canvas");
    paint(canvas, { shape: [height, width], values: this.frames.values.subarray(number * size, (number + 1) * size) });
    canvas.setAttribute("aria-label", this.captions[number]);
    this.root.querySelector("p").textContent = this.captions[number];
    this.root.firstElementChild.dataset.frame = number;
    this.slider.style.setProperty("--filled", `${(100 * number) / Math.max(1, this.slider.max)}%`);
  }

  play() {
    if (CALM.matches) return this.goOn();
    this.playing = setInterval(() => (CALM.matches ? this.stop() : this.goOn()), FRAME_MS);
    showPlaying(this.button, this.playing);
  }

  /** The next picture, to and fro. */
  goOn() {
    const next = Number(this.slider.value) + this.step;
    if (next < 0 || next > Number(this.slider.max)) this.step = -this.step;
    this.slider.value = clamp(Number(this.slider.value) + this.step, 0, Number(this.slider.max));
    this.draw();
  }

  stop() {
    clearInterval(this.playing);
    this.playing = null;
    showPlaying(this.button, this.playing);
  }
}
