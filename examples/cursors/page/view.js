// Puts cursors on the board. Positions are fractions of its width and height.

const board = document.getElementById("board");
const people = document.getElementById("people");
const ARROW = "M2 2 L2 20 L7 15.5 L10.5 23 L14 21.5 L10.5 14 L17 14 Z";
const shown = new Map(); // elements by the id of the connection
let ownId = "";
let ownPosition = null;

/** Show these cursors and no others; positions that are not known stay as they are. */
export function showCursors(cursors, own) {
  ownId = own;
  const ids = new Set(cursors.map(({ id }) => id));
  for (const [id, element] of shown) {
    if (ids.has(id)) continue;
    element.remove();
    shown.delete(id);
  }
  for (const cursor of cursors) {
    if (!shown.has(cursor.id)) shown.set(cursor.id, add(cursor));
    if (cursor.id !== ownId && cursor.x !== null) moveCursor(cursor.id, cursor);
  }
  if (ownPosition) moveOwn(ownPosition);
  showPeople(cursors);
}

/** Move another's cursor. */
export function moveCursor(id, { x, y }) {
  const element = shown.get(id);
  if (!element) return;
  element.hidden = false;
  element.style.left = `${x * 100}%`;
  element.style.top = `${y * 100}%`;
}

/** Move the visitor's own cursor, at once. */
export function moveOwn(position) {
  ownPosition = position;
  moveCursor(ownId, position);
}

function add({ id, name, colour }) {
  const element = document.createElement("div");
  element.className = id === ownId ? "cursor own" : "cursor";
  element.dataset.id = id;
  element.hidden = true;
  element.setAttribute("aria-hidden", "true"); // the list of people says who is here
  element.style.setProperty("--colour", colour);
  element.innerHTML = `<svg viewBox="0 0 20 26"><path d="${ARROW}" /></svg><span></span>`;
  element.querySelector("span").textContent = name;
  board.append(element);
  return element;
}

function showPeople(cursors) {
  people.replaceChildren(
    ...cursors.map(({ id, name, colour }) => {
      const item = document.createElement("li");
      item.dataset.id = id;
      item.style.setProperty("--colour", colour);
      item.textContent = id === ownId ? `${name} (you)` : name;
      return item;
    }),
  );
}
