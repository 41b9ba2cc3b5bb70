// Whether the server answers: watched, so that painting goes on without it and the person knows.

const LATE = 3000; // ms without an answer that are said
const UNCONNECTED = `<p class="unconnected" role="status" hidden></p>`;

/** Watches three things: Streamlit's connection, the browser's, and requests that are not answered. */
class Connection {
  /** holder: where its bar is put; change: (connected) -> what to do when that changes. */
  constructor(holder, change) {
    Object.assign(this, { change, connected: true, late: false, timer: 0 });
    holder.insertAdjacentHTML("afterbegin", UNCONNECTED);
    this.bar = holder.firstElementChild;
    this.look = () => this.judge();
    this.app = document.querySelector('[data-testid="stApp"]');
    this.states = new MutationObserver(this.look);
    this.dialogs = new MutationObserver(() => closeConnectionDialog());
  }

  start() {
    for (const event of ["online", "offline"]) addEventListener(event, this.look);
    if (this.app) this.states.observe(this.app, { attributeFilter: ["data-test-connection-state"] });
    this.judge();
  }

  stop() {
    for (const event of ["online", "offline"]) removeEventListener(event, this.look);
    this.states.disconnect();
    this.dialogs.disconnect();
    this.answered();
  }

  /** A request is on its way; of those that follow before an answer, the first counts. */
  asked() {
    this.timer ||= setTimeout(() => {
      this.late = true;
      this.judge();
    }, LATE);
  }

  /** An answer came; more: others are on their way. */
  answered(more = false) {
    clearTimeout(this.timer);
    [this.timer, this.late] = [0, false];
    this.judge();
    if (more) this.asked();
  }

  /** Whether there is a connection, whatever the answers do. */
  get there() {
    return navigator.onLine && (this.app?.dataset.testConnectionState ?? "CONNECTED") === "CONNECTED";
  }

  judge() {
    const { there } = this;
    const connected = there && !this.late;
    this.bar.textContent = there ? "No answer yet; strokes are kept" : "Not connected; strokes are kept";
    if (this.connected === connected) return;
    this.connected = connected;
    this.bar.hidden = connected;
    this.dialogs.disconnect();
    if (!connected) {
      this.dialogs.observe(document.body, { childList: true, subtree: true });
      closeConnectionDialog();
    }
    this.change(connected);
  }
}

/** Streamlit's own dialog would cover the page and take every stroke, and says no more than our bar. */
function closeConnectionDialog() {
  for (const dialog of document.querySelectorAll('[data-testid="stDialog"]')) {
    if (dialog.textContent.includes("Connection error")) dialog.querySelector('button[aria-label="Close"]')?.click();
  }
}
