// One conversation as a page sees it.
//
// * What the agent says arrives word by word, as events. A page that comes in the middle, or comes
//   back, asks for all that was said so far: the answer comes over the same socket as the events,
//   so that none is missing and none is there twice.
// * A prompt goes into the agent's queue. Once that has it, it will be answered, whoever crashes.

import { Connection } from "/shared/connection.js";

export class Talk {
  #show;
  #connection;
  #left = false;

  /** `show` has a function for each thing to be shown. */
  constructor(handle, show) {
    this.#show = show;
    this.#connection = new Connection(handle, {
      changed: show.changed,
      opened: () => this.#catchUp(),
      events: {
        started: ({ turn, text }) => this.#begin(turn, text),
        token: ({ turn, text }) => show.addWords(turn, text),
        tool: ({ turn, ...use }) => show.addTool(turn, use),
        ended: ({ turn, text, status }) => this.#end(turn, text, status),
      },
    });
  }

  leave() {
    this.#left = true;
    this.#connection.close();
  }

  /**
   * Ask, also while an earlier prompt is being answered: the queue keeps the order. By an action:
   * `handle.send("prompts", ...)` streams its request, for which browsers want HTTP/2.
   */
  async ask(text) {
    const waiting = this.#show.addWaiting(text);
    try {
      this.#show.waitFor(waiting, await this.#connection.call("ask", text));
    } catch (error) {
      this.#show.showProblem(waiting, error.message);
    }
  }

  stop() {
    this.#connection.call("cancel").catch((error) => console.info(`cancel: ${error.message}`));
  }

  async #catchUp() {
    let talk;
    try {
      talk = await this.#connection.call("getTalk");
    } catch (error) {
      console.info(`getTalk: ${error.message}`); // lost again: the next connection asks again
      return;
    }
    if (this.#left) return;
    this.#show.showTalk(talk.messages);
    this.#show.speaking(talk.speaking !== null);
    if (talk.speaking?.text) this.#show.addWords(talk.speaking.turn, talk.speaking.text);
  }

  #begin(turn, text) {
    this.#show.beginTurn(turn, text);
    this.#show.speaking(true);
  }

  #end(turn, text, status) {
    this.#show.endTurn(turn, text, status);
    this.#show.speaking(false);
  }
}
