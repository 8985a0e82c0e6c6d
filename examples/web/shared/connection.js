// A connection to one actor that stays open for as long as its page wants it.
//
// The client reconnects by itself, once; when that fails too, for example because the service is
// being restarted, it gives up and is "idle". Then this opens the next one, waiting longer each time.

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 5_000;

export class Connection {
  #handle;
  #listeners;
  #inner = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #closed = false;

  /**
   * `listeners` are
   *   opened()            the connection is open, for the first time or again: events from now on arrive,
   *                       those in between did not
   *   changed(state, why) "connecting", "connected" or "refused", and then why
   *   events              a function for each event's name
   */
  constructor(handle, listeners) {
    this.#handle = handle;
    this.#listeners = listeners;
    this.#open();
  }

  /** The id the actor knows this connection by; another one after a reconnection. */
  get id() {
    return this.#inner?.connId;
  }

  /** Call an action. Rejected when the connection is lost before the answer. */
  call(name, ...args) {
    return this.#inner.action({ name, args });
  }

  async close() {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#inner.dispose();
  }

  #open() {
    this.#listeners.changed("connecting");
    const inner = this.#handle.connect();
    this.#inner = inner;
    for (const [name, listener] of Object.entries(this.#listeners.events)) {
      inner.on(name, (...args) => this.#closed || listener(...args));
    }
    let refusal = null;
    inner.onError((error) => {
      console.warn("connection:", error.message);
      if (error.group === "user" || error.code === "validation_error") refusal ??= error;
    });
    inner.onStatusChange((status) => {
      if (this.#closed || inner !== this.#inner) return;
      if (status === "idle") this.#giveUp(inner, refusal);
      else this.#listeners.changed(status === "connected" ? "connected" : "connecting");
    });
    inner.onOpen(() => {
      if (this.#closed || inner !== this.#inner) return;
      this.#wait = FIRST_WAIT_MS;
      // The client sends its subscriptions after this callback: what `opened` asks must come later.
      queueMicrotask(() => this.#listeners.opened());
    });
  }

  #giveUp(inner, refusal) {
    inner.dispose();
    if (refusal) {
      this.#listeners.changed("refused", refusal.message);
      return;
    }
    this.#listeners.changed("connecting");
    this.#timer = setTimeout(() => this.#open(), this.#wait);
    this.#wait = Math.min(this.#wait * 2, LONGEST_WAIT_MS);
  }
}
