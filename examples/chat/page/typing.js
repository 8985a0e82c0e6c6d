// Says that the visitor is typing, and that they stopped: once each, not at every key.

const PAUSE_MS = 3_000;

export class Typing {
  #say;
  #timer = 0;
  #typing = false;

  /** `say(true)` and `say(false)` tell the room. */
  constructor(say) {
    this.#say = say;
  }

  /** The text in the form changed. */
  notice(text) {
    clearTimeout(this.#timer);
    if (!text) {
      this.stop();
      return;
    }
    this.#timer = setTimeout(() => this.stop(), PAUSE_MS);
    this.#set(true);
  }

  stop() {
    clearTimeout(this.#timer);
    this.#set(false);
  }

  /** The room no longer knows: another one, or another connection. */
  forget() {
    clearTimeout(this.#timer);
    this.#typing = false;
  }

  #set(typing) {
    if (typing === this.#typing) return;
    this.#typing = typing;
    this.#say(typing);
  }
}
