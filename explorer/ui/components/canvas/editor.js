// The editor: a decoded picture to paint on with codes, its palette and its history.
//
// The browser owns the grid: a stroke shows at once, and each change sends the whole grid to Python, which answers with
// the newest picture. The model knows, the views draw it, the input changes it, the exchange speaks with Python; here
// they are joined. As for the canvas, what has to outlive a message is kept by parent element.

const editors = new WeakMap();

export default function ({ parentElement, data, setStateValue }) {
  let editor = editors.get(parentElement);
  if (!editor) {
    editor = new Editor(parentElement);
    editors.set(parentElement, editor);
  }
  editor.transport.setStateValue = setStateValue;
  if (data) editor.receive(unpack(data));
  return () => editor.unmount();
}

const MARKUP = `
  <div class="canvas editor" part="canvas">
    ${BAR_MARKUP}
    <div class="bench">
      ${TOOLS_MARKUP}
      <div class="stage">
        ${STAGE_MARKUP}
        ${OPTIONS_MARKUP}
        ${VERDICT_MARKUP}
      </div>
      <aside class="side">
        ${SECOND_MARKUP}
        ${PALETTE_MARKUP}
        ${HISTORY_MARKUP}
      </aside>
    </div>
    <div class="feeding">
      ${BLEND_CONTROLS}
      ${RULES_MARKUP}
    </div>
    ${REACH_MARKUP}
    ${KEYS_MARKUP}
  </div>`;

class Editor {
  constructor(parent) {
    this.root = document.createElement("div");
    this.root.innerHTML = MARKUP;
    parent.appendChild(this.root);
    const shown = () => exactly(this.stage.pixels);
    this.root.figures = { "": shown, shown };
    this.screen = this.root.firstElementChild;
    this.model = new EditorModel();
    this.connection = new Connection(this.screen, (connected) => this.connect(connected));
    this.exchange = new Exchange(this.model, this.connection);
    this.leftBehind = new LeftBehind(this.screen);
    this.offers = new Offers(this.screen, {
      present: () => this.model.history,
      read: (document) => this.model.historyOf(document),
      open: (history) => this.reopen(history),
    });
    this.transport = this.exchange.transport;
    this.hand = new Hand(this.model);
    this.stage = new StageView(this.root, this.model);
    this.keys = new KeysView(this.root, this.model, { close: () => this.showKeys(false) });
    this.views = this.makeViews();
    this.pointer = new PointerInput(this.stage.viewport, this.stage.divider, this.model, this.hand);
    this.keyboard = new KeyboardInput(this);
    this.model.listen((news) => this.update(news));
    this.resizes = new ResizeObserver(([{ contentRect }]) => this.stage.resize(contentRect));
  }

  /** Each part of the screen, with what it may change. */
  makeViews() {
    const { root, model } = this;
    return [
      this.stage,
      new SecondView(root, model),
      new BarView(root, model, {
        layer: (layer) => model.sight.chooseLayer(layer),
        overlay: (overlay) => model.ask({ overlay }),
        compare: (layer) => model.habit({ compare: layer }),
        lines: () => model.habit({ grid: !model.habits.grid }),
        keys: () => this.showKeys(!this.keys.open),
        zoom: (way) => model.sight.zoomBy(way),
      }),
      new ToolsView(root, model, {
        tool: (tool) => model.chooseTool(tool),
        size: (size) => model.habit({ size }),
        percent: (percent) => model.habit({ percent }),
        contiguous: (contiguous) => model.habit({ contiguous }),
        act: (action) => model.selected.act(action),
      }),
      new PaletteView(root, model, {
        palette: (values) => model.palette.choose(values),
        code: (code) => model.chooseCode(code),
        putHere: (code) => model.putHere(code),
        takeColour: () => model.palette.takeColour(),
        complain: (sentence) => model.complain(sentence),
      }),
      new HistoryView(root, model, {
        undo: () => model.undo(),
        redo: () => model.redo(),
        clear: () => model.startOver(),
        gif: () => model.askForAnimation("gif"),
        webp: () => model.askForAnimation("webp"),
        goTo: (position) => model.goTo(position),
        toggle: (number) => model.toggleEntry(number),
        focusAway: () => this.stage.viewport.focus({ preventScroll: true }),
      }),
      new AnswerView(root, model),
      new WayView(root, model, this.exchange.socket),
      new RulesView(root, model, { rule: (rule) => model.chooseRule(rule) }),
      new BlendView(root, model, { blend: (values, dragging) => model.chooseBlend(values, dragging) }),
      new ReachView(root, model, { undo: () => model.undo(), redo: () => model.redo() }),
    ];
  }

  /** What Escape leaves off, the innermost first; false where there is nothing. */
  escape() {
    const { model, hand } = this;
    if (this.keys.open) return this.showKeys(false);
    if (model.drawing) return hand.cancel();
    if (model.selected.floating) return model.selected.drop();
    if (model.palette.takingColour) return model.palette.takeColour();
    return model.selected.places.length || model.asked.cell ? model.selected.letGo() : false;
  }

  showKeys(open) {
    this.keys.show(open);
    if (!open) this.stage.viewport.focus({ preventScroll: true });
  }

  receive(message) {
    this.keyboard.attach();
    this.resizes.observe(this.stage.viewport);
    this.connection.start();
    this.offers.start();
    this.exchange.take(message);
  }

  unmount() {
    this.transport.stop();
    this.connection.stop();
    this.offers.stop();
    this.keyboard.detach();
    this.resizes.disconnect();
  }

  /** Go on with another history of this content. */
  reopen(history) {
    albums.delete(this.model.layers.content); // its entries have ids of their own
    this.model.reopen(history);
    this.exchange.remember();
  }

  /** The server went, or came back: what was on its way went with it. */
  connect(connected) {
    this.model.setConnected(connected);
    if (connected) this.transport.hurry();
  }

  /** Another picture, or the same one again: what is kept of it, and of the one that was left. */
  arrive() {
    const { layers: { content }, message: { about } } = this.model;
    this.offers.show(content);
    this.leftBehind.arrive(content, about);
  }

  /** Ask Python, and draw what is news. */
  update(news) {
    const { model } = this;
    if (news.has("question")) this.transport.request();
    if (news.has("content")) this.arrive();
    if (!model.ready) return;
    const { screen } = this;
    screen.dataset.mode = model.message.mode;
    if (news.has("tiles")) this.root.style.setProperty("--atlas", model.atlas.url());
    for (const view of this.views) if (view.topics.some((topic) => news.has(topic))) view.draw(news);
    screen.dataset.sequence = model.message.sequence;
    screen.dataset.settled = !this.transport.pending;
  }
}
