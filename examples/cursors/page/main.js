// Wires the page: the board in the address (`#team`), the pointer and the arrow keys.

import { connectToService, showState, visitorName } from "/shared/visitor.js";
import { Board } from "./board.js";
import * as view from "./view.js";

const FIRST_BOARD = "lobby";
const STEP = 0.02;
const client = connectToService();
const name = await visitorName(document.querySelector("#welcome"));
const element = document.getElementById("board");
let board;
let position = { x: 0.5, y: 0.5 };

function enter() {
  board?.leave();
  view.showCursors([], "");
  const key = decodeURIComponent(location.hash.slice(1)) || FIRST_BOARD;
  board = new Board(client.cursors.getOrCreate([key], { params: { name } }), {
    changed: (state, why) => showState(document.getElementById("connection"), state, why),
    cursors: view.showCursors,
    moved: view.moveCursor,
  });
}

function moveTo(x, y) {
  const within = (value) => Math.min(1, Math.max(0, value));
  position = { x: within(x), y: within(y) };
  view.moveOwn(position);
  board.move(position);
}

element.addEventListener("pointermove", (event) => {
  const { left, top, width, height } = element.getBoundingClientRect();
  moveTo((event.clientX - left) / width, (event.clientY - top) / height);
});

const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

element.addEventListener("keydown", (event) => {
  const direction = KEYS[event.key];
  if (!direction) return;
  event.preventDefault();
  moveTo(position.x + direction[0] * STEP, position.y + direction[1] * STEP);
});

addEventListener("hashchange", enter);
enter();
