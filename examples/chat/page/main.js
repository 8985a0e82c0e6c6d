// Wires the page: the room in the address (`#general`), the form, the lists.

import { connectToService, showState, visitorName } from "/shared/visitor.js";
import { Room } from "./room.js";
import { Typing } from "./typing.js";
import * as view from "./view.js";

const FIRST_ROOM = "general";
const rooms = ["general", "random", "help"];
const client = connectToService();
const name = await visitorName(document.querySelector("#welcome"));
const element = (id) => document.getElementById(id);
const typing = new Typing((is) => room.setTyping(is));
let room;

function roomOfAddress() {
  return decodeURIComponent(location.hash.slice(1)) || FIRST_ROOM;
}

function enter(key) {
  room?.leave();
  typing.forget();
  if (!rooms.includes(key)) rooms.push(key);
  view.showRoom(key, rooms);
  room = new Room(client.chat.getOrCreate([key], { params: { name } }), name, {
    changed: (state, why) => showState(element("connection"), state, why),
    opened: () => typing.forget(),
    present: view.showPeople,
    typing: view.showTyping,
    said: view.showMessage,
    sending: view.showSending,
    history: view.showEarlier,
    failed: view.showProblem,
  });
}

element("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = element("text").value.trim();
  if (!text) return;
  element("text").value = "";
  typing.stop();
  room.say(text);
});

element("text").addEventListener("input", () => typing.notice(element("text").value));
element("earlier").addEventListener("click", () => room.showEarlier());

element("room-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const key = element("room-name").value.trim();
  element("room-name").value = "";
  if (key) location.hash = encodeURIComponent(key);
});

addEventListener("hashchange", () => enter(roomOfAddress()));
enter(roomOfAddress());
element("text").focus();
