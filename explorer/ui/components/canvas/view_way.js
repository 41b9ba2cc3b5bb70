// The way that edits take, in one quiet word, where it is not the fast one.

class WayView extends View {
  topics = ["way", "answer"];

  /** socket: the Socket that would be faster. */
  constructor(root, model, socket) {
    super(root, model, {});
    this.socket = socket;
    this.word = textElement("span", "Slow link");
    this.word.className = "way";
    this.word.tabIndex = 0;
    this.word.dataset.tip =
      "No WebSocket gets through to the server, so each change runs the page again: slower, and otherwise the same. A proxy in between may have to let /live/edit through.";
    this.find(".bar").append(this.word);
  }

  draw() {
    this.word.hidden = !this.socket.refused;
  }
}
