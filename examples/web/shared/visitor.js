// Who uses the page and where the service is: from the address, else remembered, else asked.

import { createClient } from "rivetkit/client";

const SERVICE = "http://127.0.0.1:6420";
const parameters = new URLSearchParams(location.search);

/** The official client; `?service=http://host:port` names another service. */
export function connectToService() {
  return createClient({ endpoint: parameters.get("service") ?? SERVICE, devtools: false });
}

/** The visitor's name: `?name=Ann`, or what the dialog of the page says. */
export async function visitorName(dialog) {
  const known = parameters.get("name") ?? sessionStorage.getItem("name");
  const name = known?.trim() || (await ask(dialog));
  sessionStorage.setItem("name", name); // of this tab: two tabs may be two people
  return name;
}

function ask(dialog) {
  const input = dialog.querySelector("input");
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.querySelector("form").addEventListener("submit", (event) => {
      const name = input.value.trim();
      if (!name) {
        event.preventDefault();
        return;
      }
      resolve(name);
    });
  });
}

const WORDS = { connecting: "Connecting…", connected: "Connected", refused: "Refused" };

/** Show the state of a connection in an element of class "connection", and why it is so. */
export function showState(element, state, why = "") {
  element.dataset.state = state;
  element.textContent = why ? `${WORDS[state]}: ${why}` : WORDS[state];
}
