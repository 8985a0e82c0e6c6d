// Wires the page: the conversation in the address (`#...`), the form, the turns.

import { connectToService, showState } from "/shared/visitor.js";
import { Talk } from "./talk.js";
import * as view from "./view.js";

const client = connectToService();
const element = (id) => document.getElementById(id);
let talk;

function enter() {
  if (!location.hash.slice(1)) {
    location.replace(`#${crypto.randomUUID().slice(0, 8)}`); // comes back as a "hashchange"
    return;
  }
  talk?.leave();
  view.clear();
  talk = new Talk(client.agent.getOrCreate([decodeURIComponent(location.hash.slice(1))]), {
    ...view,
    changed: (state, why) => showState(element("connection"), state, why),
    speaking: (speaks) => (element("stop").hidden = !speaks),
  });
  element("text").focus();
}

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  if (!text) return;
  element("text").value = "";
  talk.ask(text);
});

element("stop").addEventListener("click", () => talk.stop());

addEventListener("hashchange", enter);
enter();
