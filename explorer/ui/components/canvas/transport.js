// How a picture asks for new pixels: over a socket of its own while the hand moves, by a rerun of the page when it
// rests, and by reruns alone where no socket gets through.

const PATIENCE = 5000; // ms until a request without an answer is taken for lost
const BATCH = 100; // ms after which Streamlit takes what is said for another message than the one before
const UNANSWERED = "vqvae-explorer:unanswered"; // to whoever can have the whole page run
const REST = { edit: 3000, inputs: 250 }; // ms of rest until the page is run again; on Inputs it has the figures
const AGAIN = [1000, 2000, 5000, 15000, 60000]; // ms until the socket is tried again
const STRANGER = [4401, 4403]; // codes with which the server says that this page is not to try again

/** One request in flight; of those that wait, only the newest is sent. */
class Transport {
  /**
   * compose: (resting) -> the whole request, as of now; its arrays are typed ones. Resting: nobody waits for the answer.
   * socket: a Socket, or null where every request is a rerun. patience: ms until a request counts as lost.
   */
  constructor(compose, { socket = null, patience = PATIENCE } = {}) {
    this.patience = patience;
    this.compose = compose;
    this.socket = socket;
    this.sequence = 0;
    this.answered = 0;
    this.waiting = false;
    this.setStateValue = null; // of the newest message: Streamlit makes new setters for each
    this.retry = this.rest = 0;
    this.sentLive = false; // the last request went over the socket: the page has not heard of it
  }

  get pending() {
    return this.waiting || this.answered < this.sequence;
  }

  request() {
    const lost = this.answered < this.sequence && performance.now() - this.sentAt > this.patience;
    if (this.answered < this.sequence && !lost) {
      this.waiting = true;
      return;
    }
    this.waiting = false;
    clearTimeout(this.rest);
    this.sequence += 1;
    this.sentAt = performance.now();
    const request = { sequence: this.sequence, ...this.compose(false) };
    this.sentLive = !lost && this.byRerunAlone(request) === false && this.socket.send(request);
    if (!this.sentLive) this.rerun(request);
    if (lost) setTimeout(() => document.dispatchEvent(new CustomEvent(UNANSWERED)), BATCH);
    this.mode = request.mode;
    clearTimeout(this.retry); // a dropped connection swallows requests: say it again until it is answered
    this.retry = setTimeout(() => this.pending && this.request(), this.patience + 100);
  }

  /** What a socket does not carry: the first request for the pictures, and animations. */
  byRerunAlone({ complete, grid, animation }) {
    return !this.socket?.ready || !complete || !grid || Boolean(animation);
  }

  rerun(request) {
    this.setStateValue("request", inBase64(request));
  }

  /** The hand rests: bring the page in line with what went over the socket. Nobody waits for this answer. */
  settle() {
    if (this.pending || !this.sentLive) return;
    this.sentLive = false;
    this.sequence += 1;
    this.answered = this.sequence;
    this.rerun({ sequence: this.sequence, ...this.compose(true) });
  }

  /** There is a connection again: what is not answered yet went with the last one. */
  hurry() {
    if (!this.pending) return;
    this.sentAt = -Infinity;
    this.request();
  }

  stop() {
    clearTimeout(this.retry);
    clearTimeout(this.rest);
    this.socket?.close();
  }

  /** Another picture or checkpoint: whatever was asked for the last one is void. */
  restart(sequence) {
    this.answered = this.sequence = Math.max(this.sequence, sequence);
    this.waiting = false;
    clearTimeout(this.rest);
  }

  /** Whether an answer is news: never draw one that is older than what is shown. */
  accept(sequence) {
    if (sequence < this.answered) return false;
    this.sequence = Math.max(this.sequence, sequence);
    this.answered = sequence;
    if (this.waiting) this.request();
    else if (this.sentLive && !this.pending) {
      clearTimeout(this.rest);
      this.rest = setTimeout(() => this.settle(), REST[this.mode]);
    }
    return true;
  }
}

/** A WebSocket beside the page; it opens by itself, and again when it was lost. */
class Socket {
  /** answer: (bytes) -> take one in. changed: () -> `ready` or `refused` is another than before. */
  constructor(answer, changed) {
    this.answer = answer;
    this.changed = changed;
    this.ready = false;
    this.refused = false; // it could not be opened, or was closed: every request is a rerun for now
    this.tries = 0;
    this.again = 0;
  }

  /** Where it is, and the session's token, as the page says; called with every message of the page. */
  open({ path, token }) {
    if (this.token === token && this.path === path) return;
    this.close();
    Object.assign(this, { path, token, tries: 0 });
    this.connect();
  }

  connect() {
    clearTimeout(this.again);
    const { token } = this;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${this.path}`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => socket.send(JSON.stringify({ token }));
    socket.onmessage = ({ data }) => {
      if (typeof data !== "string") return this.answer(new Uint8Array(data));
      this.tries = 0;
      this.become(true, false);
    };
    socket.onclose = ({ code }) => {
      if (this.socket !== socket) return;
      this.socket = null;
      this.become(false, true);
      if (STRANGER.includes(code)) return;
      this.again = setTimeout(() => this.connect(), AGAIN[Math.min(this.tries, AGAIN.length - 1)]);
      this.tries += 1;
    };
    this.socket = socket;
  }

  become(ready, refused) {
    const before = [this.ready, this.refused];
    [this.ready, this.refused] = [ready, refused];
    if (before[0] !== ready || before[1] !== refused) this.changed();
  }

  /** Whether a request is on its way. */
  send(request) {
    if (!this.ready || this.socket.readyState !== WebSocket.OPEN) return false;
    this.socket.send(packRequest(request));
    return true;
  }

  close() {
    clearTimeout(this.again);
    const { socket } = this;
    this.socket = this.token = null;
    this.ready = false;
    socket?.close();
  }
}

/** A request as explorer/base/wire.py unpacks it: length of the header, header, arrays, each padded to four bytes. */
function packRequest({ grid, weights, palette, document, ...rest }) {
  const { patch, ...choice } = palette;
  const arrays = Object.entries({ grid, weights, patch }).filter(([, values]) => values);
  let offset = 0;
  const table = arrays.map(([name, values]) => {
    const entry = { name, dtype: values.constructor.name.replace("Array", "").toLowerCase(), shape: [values.length], offset };
    offset += values.byteLength + (-values.byteLength & 3);
    return entry;
  });
  const header = new TextEncoder().encode(JSON.stringify({ ...rest, palette: choice, arrays: table }));
  const start = 4 + header.length + (-header.length & 3);
  const message = new Uint8Array(start + offset);
  new DataView(message.buffer).setUint32(0, start - 4, true);
  message.fill(32, 4, start);
  message.set(header, 4);
  arrays.forEach(([, values], number) =>
    message.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), start + table[number].offset));
  return message;
}

/** A request as JSON carries it: its typed arrays as base64. */
function inBase64(value) {
  if (ArrayBuffer.isView(value)) return toBase64(value);
  if (Array.isArray(value)) return value.map(inBase64);
  if (!value || typeof value !== "object") return value;
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, inBase64(part)]));
}

function toBase64(values) {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  let text = "";
  for (let from = 0; from < bytes.length; from += 0x8000) text += String.fromCharCode(...bytes.subarray(from, from + 0x8000));
  return btoa(text);
}
