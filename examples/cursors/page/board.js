// One board as a page sees it: whose cursors are there, and where this one's goes.

import { Connection } from "/shared/connection.js";

const INTERVAL_MS = 33; // at most thirty moves a second

export class Board {
  #show;
  #connection;
  #next = null; // the position to send; later ones replace it
  #sending = false;

  /** `show` has a function for each thing to be shown. */
  constructor(handle, show) {
    this.#show = show;
    this.#connection = new Connection(handle, {
      changed: show.changed,
      opened: () => this.#opened(),
      events: {
        cursors: (cursors) => show.cursors(cursors, this.#connection.id),
        moved: ({ id, x, y }) => id !== this.#connection.id && show.moved(id, { x, y }),
      },
    });
  }

  leave() {
    this.#connection.close();
  }

  /**
   * Send a position, or a later one: one move is on its way at a time, so that a slow network gets
   * fewer of them and not a queue of old ones.
   */
  move(position) {
    this.#next = position;
    if (!this.#sending) this.#sendMoves();
  }

  async #sendMoves() {
    this.#sending = true;
    try {
      while (this.#next) {
        const { x, y } = this.#next;
        this.#next = null;
        const pause = new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
        await Promise.all([this.#connection.call("move", x, y), pause]);
      }
    } catch (error) {
      console.info(`move: ${error.message}`); // the connection was lost; the next one sends on
    } finally {
      this.#sending = false;
    }
  }

  async #opened() {
    try {
      this.#show.cursors(await this.#connection.call("getCursors"), this.#connection.id);
      if (this.#next) this.move(this.#next);
    } catch (error) {
      console.info(`getCursors: ${error.message}`);
    }
  }
}
