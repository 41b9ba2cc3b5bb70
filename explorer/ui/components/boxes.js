// What the browser keeps for itself: boxes of things in IndexedDB, or in this page's memory where that is blocked.
// Joined before the module of each component that keeps something.

const DATABASE = "vqvae-explorer";
const BOXES = ["drafts", "pictures"]; // all of them: they are made together

/**
 * Things by id. Of each there is a head to list it by, `{ id, time, bytes, … }`, and a body that is read alone.
 *
 * Nothing here throws: what the browser refuses to store is kept in memory, for as long as the page is open.
 */
class Box {
  constructor(name) {
    this.bodies = `${name} bodies`;
    this.name = name;
    this.memory = new Map(); // id -> { head, body }
  }

  /** Whether what is put here outlives the page. */
  async lasts() {
    return Boolean(await openDatabase());
  }

  /** Every head, newest first. */
  async heads() {
    const stored = (await this.reading((heads) => heads.getAll())) ?? [];
    const here = [...this.memory.values()].map(({ head }) => head);
    const all = [...stored.filter(({ id }) => !this.memory.has(id)), ...here];
    return all.sort((one, other) => other.time - one.time);
  }

  /** The head and the body of a thing; undefined where there is none. */
  async read(id) {
    if (this.memory.has(id)) return this.memory.get(id);
    const [head, body] = await Promise.all([
      this.reading((heads) => heads.get(id)),
      this.reading((_, bodies) => bodies.get(id)),
    ]);
    return head && body !== undefined ? { head, body } : undefined;
  }

  /** Keep a thing, in place of what had its id. Where the browser has no room, the oldest ones go, but not the `spared`. */
  async put(head, body, spared = () => false) {
    for (;;) {
      const fault = await this.writing((heads, bodies) => {
        heads.put(head);
        bodies.put(body, head.id);
      });
      if (!fault) return void this.memory.delete(head.id);
      const stored = fault === "QuotaExceededError" ? (await this.heads()).filter(({ id }) => !this.memory.has(id)) : [];
      const oldest = stored.findLast(({ id }) => id !== head.id && !spared(id));
      if (!oldest || (await this.remove([oldest.id]))) return void this.memory.set(head.id, { head, body });
    }
  }

  /** Forget things; returns why the browser would not, empty where it did. */
  async remove(ids) {
    for (const id of ids) this.memory.delete(id);
    return this.writing((heads, bodies) => {
      for (const id of ids) {
        heads.delete(id);
        bodies.delete(id);
      }
    });
  }

  /** Forget the oldest ones beyond so many things or so many bytes, but not the `spared`. */
  async bound({ most, mostBytes, spared }) {
    const heads = await this.heads();
    let bytes = heads.reduce((sum, head) => sum + head.bytes, 0);
    let count = heads.length;
    const gone = [];
    for (const head of heads.reverse()) {
      if (count <= most && bytes <= mostBytes) break;
      if (spared(head.id)) continue;
      gone.push(head.id);
      count -= 1;
      bytes -= head.bytes;
    }
    if (gone.length) await this.remove(gone);
  }

  /** What a request finds; undefined where there is nothing to ask. */
  async reading(ask) {
    try {
      const [heads, bodies] = this.stores(await openDatabase(), "readonly");
      return await new Promise((resolve, reject) => {
        const asked = ask(heads, bodies);
        asked.onsuccess = () => resolve(asked.result);
        asked.onerror = () => reject(asked.error);
      });
    } catch {
      return undefined;
    }
  }

  /** Do something with both stores, all of it or nothing; returns the name of the fault, empty where it was done. */
  async writing(act) {
    try {
      const [heads, bodies] = this.stores(await openDatabase(), "readwrite");
      act(heads, bodies);
      return await new Promise((resolve) => {
        heads.transaction.oncomplete = () => resolve("");
        heads.transaction.onabort = () => resolve(heads.transaction.error?.name ?? "AbortError");
      });
    } catch ({ name }) {
      return name;
    }
  }

  stores(database, mode) {
    const transaction = database.transaction([this.name, this.bodies], mode);
    return [transaction.objectStore(this.name), transaction.objectStore(this.bodies)];
  }
}

let databaseOpened = null; // a promise of the database, or of null where there is none

function openDatabase() {
  databaseOpened ??= new Promise((resolve) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => {
      for (const name of BOXES) {
        asked.result.createObjectStore(name, { keyPath: "id" });
        asked.result.createObjectStore(`${name} bodies`);
      }
    };
    asked.onerror = asked.onblocked = () => resolve(null);
    asked.onsuccess = () => {
      const database = asked.result;
      database.onclose = database.onversionchange = () => {
        database.close();
        databaseOpened = null;
      };
      resolve(database);
    };
  }).catch(() => null); // no IndexedDB at all
  return databaseOpened;
}

/** A name that nothing else has; also where the page did not come over a secure connection. */
function freshName() {
  return Array.from(crypto.getRandomValues(new Uint32Array(3)), (word) => word.toString(36)).join("");
}

/** What a storage of strings holds under a key; null where that is nothing, no JSON, or where storage is blocked. */
function readStored(storage, key) {
  try {
    return JSON.parse(globalThis[storage].getItem(key));
  } catch {
    return null;
  }
}

/** Keep a value as JSON; returns whether there was room. */
function writeStored(storage, key, value) {
  try {
    globalThis[storage].setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}
