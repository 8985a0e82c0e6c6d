// Puts a room on the page. Text goes in as text, never as HTML.

const element = (id) => document.getElementById(id);
const CLOCK = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });

function make(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** A colour of its own for each name. */
function hueOf(name) {
  let hue = 7;
  for (const letter of name) hue = (hue * 31 + letter.codePointAt(0)) % 360;
  return hue;
}

function avatar(name) {
  const made = make("span", "avatar", name.slice(0, 1).toUpperCase());
  made.style.setProperty("--hue", hueOf(name));
  made.setAttribute("aria-hidden", "true");
  return made;
}

/** Begin with an empty room. */
export function showRoom(key, rooms) {
  document.title = `${key} · Chat`;
  element("title").textContent = key;
  element("rooms").replaceChildren(
    ...rooms.map((room) => {
      const link = make("a", "", room);
      link.href = `#${encodeURIComponent(room)}`;
      if (room === key) link.setAttribute("aria-current", "page");
      const item = make("li");
      item.append(link);
      return item;
    }),
  );
  for (const list of ["messages", "people"]) element(list).replaceChildren();
  element("empty").hidden = true;
  element("earlier").hidden = true;
  showTyping([]);
}

export function showPeople(people, ownId) {
  element("people").replaceChildren(
    ...people.map(({ id, name }) => {
      const item = make("li");
      item.dataset.id = id;
      item.append(avatar(name), make("span", "name", name));
      if (id === ownId) item.append(make("span", "you", "you"));
      return item;
    }),
  );
}

export function showTyping(people) {
  const names = people.map(({ name }) => name);
  const verb = names.length === 1 ? "is" : "are";
  const who = names.length > 3 ? `${names.length} people` : new Intl.ListFormat("en").format(names);
  element("typing").textContent = names.length ? `${who} ${verb} typing…` : "";
}

/** Show a message at its place; one that was being sent is replaced. */
export function showMessage(message, isOwn) {
  element("empty").hidden = true;
  if (message.token) sendingItem(message.token)?.remove();
  const item = makeMessage(message, isOwn);
  item.dataset.id = message.id;
  const time = make("time", "", CLOCK.format(message.sent_at * 1000));
  time.dateTime = new Date(message.sent_at * 1000).toISOString();
  item.querySelector(".who").append(time);
  keepingToTheEnd(() => element("messages").insertBefore(item, placeOf(message.id)));
}

/** Show a message that the room does not have yet. */
export function showSending(token, message) {
  element("empty").hidden = true;
  const item = makeMessage(message, true);
  item.dataset.token = token;
  item.classList.add("sending");
  item.querySelector(".who").append(make("span", "note", "sending…"));
  element("messages").append(item);
  scrollToEnd();
}

/** Say why a message was not taken. */
export function showProblem(token, text) {
  const item = sendingItem(token);
  item?.classList.replace("sending", "failed");
  const note = item?.querySelector(".note");
  if (note) note.textContent = text;
}

/** There is a history, with earlier messages before it or not. */
export function showEarlier(hasEarlier) {
  element("earlier").hidden = !hasEarlier;
  element("empty").hidden = element("messages").childElementCount > 0;
}

function makeMessage({ author, text }, isOwn) {
  const item = make("li", isOwn ? "message own" : "message");
  const who = make("div", "who");
  who.append(make("span", "author", author));
  const body = make("div", "body");
  body.append(who, make("p", "text", text));
  item.append(avatar(author), body);
  return item;
}

function sendingItem(token) {
  return element("messages").querySelector(`[data-token="${token}"]`);
}

/** The element before which a message goes: the first later one, or the first being sent. */
function placeOf(id) {
  let place = null;
  for (let item = element("messages").lastElementChild; item; item = item.previousElementSibling) {
    if (item.dataset.id && Number(item.dataset.id) < id) break;
    place = item;
  }
  return place;
}

/** Who reads the end goes on reading the end; who has scrolled up is left there. */
function keepingToTheEnd(change) {
  const { scrollTop, scrollHeight, clientHeight } = element("scroll");
  const wasAtEnd = scrollHeight - scrollTop - clientHeight < 80;
  change();
  if (wasAtEnd) scrollToEnd();
}

function scrollToEnd() {
  element("scroll").scrollTop = element("scroll").scrollHeight;
}
