// One room as a page sees it: nothing is missing, nothing is there twice, whatever happens to the
// connection or to the service.
//
// * The ids of messages have no gaps. A page that sees one, or learns on coming back that there is
//   a later message than its last, asks for what it missed.
// * What is being sent stays in the outbox, with a token, until the room has it. It is sent again
//   over each new connection; the room knows the token and keeps one of them.

import { Connection } from "/shared/connection.js";

const SCREENFUL = 50;

export class Room {
  #author;
  #show;
  #connection;
  #seen = new Set(); // ids
  #firstId = Infinity;
  #lastId = 0; // everything up to here has been shown, from #firstId on
  #outbox = new Map(); // text by token
  #catchingUp = null;
  #left = false;

  /** `show` has a function for each thing to be shown. */
  constructor(handle, author, show) {
    this.#author = author;
    this.#show = show;
    this.#connection = new Connection(handle, {
      changed: show.changed,
      opened: () => this.#opened(),
      events: {
        message: (message) => this.#receive(message),
        presence: (presence) => this.#learn(presence),
        typing: (people) => show.typing(people.filter(({ id }) => id !== this.#connection.id)),
      },
    });
  }

  leave() {
    this.#left = true;
    this.#connection.close();
  }

  say(text) {
    const token = crypto.randomUUID();
    this.#outbox.set(token, text);
    this.#show.sending(token, { author: this.#author, text });
    this.#send(token);
  }

  setTyping(typing) {
    this.#ask("setTyping", typing);
  }

  async showEarlier() {
    const earlier = await this.#ask("getHistory", this.#firstId, SCREENFUL);
    if (earlier) this.#showHistory(earlier);
  }

  async #opened() {
    this.#show.opened();
    this.#show.typing([]);
    if (this.#firstId === Infinity) {
      const history = await this.#ask("getHistory", 0, SCREENFUL);
      if (!history) return;
      this.#showHistory(history);
      this.#lastId = Math.max(this.#lastId, history.at(-1)?.id ?? 0);
    }
    const presence = await this.#ask("getPresence");
    if (presence) this.#learn(presence);
    for (const token of this.#outbox.keys()) this.#send(token);
  }

  #showHistory(messages) {
    messages.forEach((message) => this.#add(message));
    this.#firstId = Math.min(this.#firstId, messages[0]?.id ?? 1);
    this.#show.history(messages.length === SCREENFUL && this.#firstId > 1);
  }

  #learn({ people, last_id }) {
    this.#show.present(people, this.#connection.id);
    if (last_id > this.#lastId) this.#catchUp();
  }

  #receive(message) {
    this.#add(message);
    if (message.id === this.#lastId + 1) this.#lastId = message.id;
    else if (message.id > this.#lastId) this.#catchUp();
  }

  /** Ask for everything after the last message before a gap; once, however often it is noticed. */
  #catchUp() {
    if (this.#firstId === Infinity) return; // #opened will ask
    this.#catchingUp ??= this.#ask("getMessages", this.#lastId).then((missed) => {
      this.#catchingUp = null;
      missed?.forEach((message) => this.#add(message));
      this.#lastId = Math.max(this.#lastId, missed?.at(-1)?.id ?? 0);
    });
  }

  #add(message) {
    if (this.#left || this.#seen.has(message.id)) return;
    this.#seen.add(message.id);
    const isOwn = this.#outbox.delete(message.token);
    this.#show.said(message, isOwn || message.author === this.#author);
  }

  async #send(token) {
    try {
      this.#receive(await this.#call("sendMessage", this.#author, this.#outbox.get(token), token));
    } catch (error) {
      // Over the next connection it is sent again, unless the room does not want it.
      if (error.group !== "user" || this.#left) return;
      this.#outbox.delete(token);
      this.#show.failed(token, error.message);
    }
  }

  /** Return the answer, or nothing if the connection was lost: then all is asked again. */
  async #ask(name, ...args) {
    try {
      return await this.#call(name, ...args);
    } catch (error) {
      console.info(`${name}: ${error.message}`);
      return undefined;
    }
  }

  #call(name, ...args) {
    return this.#connection.call(name, ...args);
  }
}
