// Puts a conversation on the page. Text goes in as text, never as HTML.

const element = (id) => document.getElementById(id);
const ENDINGS = { cancelled: "stopped", failed: "failed" };

function make(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Begin with an empty conversation. */
export function clear() {
  element("turns").replaceChildren();
}

/** Show all that was said so far; prompts that wait stay at the end. */
export function showTalk(messages) {
  for (const turn of element("turns").querySelectorAll("[data-turn]")) turn.remove();
  const calls = new Map();
  for (const message of messages) {
    for (const call of JSON.parse(message.calls ?? "[]")) calls.set(call.id, call.function);
    if (message.role === "user") beginTurn(message.turn, message.content);
    else if (message.role === "tool")
      addTool(message.turn, { ...calls.get(message.call), result: message.content });
    else if (message.status) endTurn(message.turn, message.content, message.status);
  }
  element("empty").hidden = element("turns").childElementCount > 0;
  scrollToEnd();
}

/** A prompt is on its way to the agent, or waits there for earlier ones. */
export function addWaiting(text) {
  element("empty").hidden = true;
  const waiting = make("li", "turn waiting");
  waiting.append(make("p", "prompt", text), make("p", "note", "waiting…"));
  element("turns").append(waiting);
  scrollToEnd();
  return waiting;
}

/** The agent has the prompt and will answer it in this turn, which may have begun already. */
export function waitFor(waiting, turn) {
  if (find(turn)) waiting.remove();
  else waiting.dataset.waitsFor = turn;
}

/** Say why a prompt did not reach the agent. */
export function showProblem(waiting, text) {
  waiting.classList.replace("waiting", "failed");
  waiting.querySelector(".note").textContent = text;
}

/** The agent begins to answer; if it had begun before, that is taken back. */
export function beginTurn(turn, text) {
  element("empty").hidden = true;
  const begun = make("li", "turn");
  begun.dataset.turn = turn;
  begun.append(make("p", "prompt", text));
  const waiting = [...element("turns").querySelectorAll(".waiting")];
  const own = waiting.find((item) => item.dataset.waitsFor === String(turn));
  keepingToTheEnd(() => {
    find(turn)?.remove();
    own?.remove();
    element("turns").insertBefore(begun, waiting.find((item) => item !== own) ?? null);
  });
}

/** The agent speaks on. */
export function addWords(turn, text) {
  keepingToTheEnd(() => {
    const last = find(turn)?.lastElementChild;
    if (last?.classList.contains("speaking")) last.textContent += text;
    else find(turn)?.append(make("p", "answer speaking", text));
  });
}

/** The agent used a tool. */
export function addTool(turn, { name, arguments: args, result }) {
  keepingToTheEnd(() => {
    const used = make("p", "tool");
    used.append(make("code", "", `${name}(${args})`), ` → ${result}`);
    for (const speaking of find(turn)?.querySelectorAll(".speaking") ?? [])
      speaking.classList.remove("speaking");
    find(turn)?.append(used);
  });
}

/** The answer is complete. */
export function endTurn(turn, text, status) {
  keepingToTheEnd(() => {
    find(turn)?.querySelector(".speaking")?.remove();
    find(turn)?.append(make("p", `answer ${status}`, text));
    if (status in ENDINGS) find(turn)?.append(make("p", "note", ENDINGS[status]));
  });
}

function find(turn) {
  return element("turns").querySelector(`[data-turn="${turn}"]`);
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
