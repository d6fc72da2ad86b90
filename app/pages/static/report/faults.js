// What the service refuses, told at the top with links, and at each field.

const summary = document.querySelector("#errors");

// What is wrong with a field, found before anything is sent.
export class Fault extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

export function clearFaults() {
  summary.replaceChildren();
  for (const one of document.querySelectorAll(".error")) one.remove();
  for (const one of document.querySelectorAll("[aria-invalid]")) {
    one.removeAttribute("aria-invalid");
    const kept = (one.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && !id.endsWith("-error"));
    if (kept.length) one.setAttribute("aria-describedby", kept.join(" "));
    else one.removeAttribute("aria-describedby");
  }
}

// The field itself, or the nearest that holds it: `citations.0.source.url` is one of its own,
// `crossings.3` is of all crossings.
// What is wrong with a row of many, as `confirmations.3.sides`, is shown at the field of all.
function fieldOf(name) {
  for (let part = name.replace(/^confirmations\.\d+\.?/, "") || name; part; part = part.slice(0, Math.max(part.lastIndexOf("."), 0))) {
    const found = [...document.querySelectorAll("[data-field]")].find(
      (one) => one.dataset.field.split(" ").includes(part) && !one.closest("[hidden]"),
    );
    if (found) return found;
  }
  return undefined;
}

function mark(field, message) {
  const error = document.createElement("span");
  error.className = "error";
  error.id = `${field.id}-error`;
  error.lang = "en";
  error.textContent = message;
  if (field.nodeName === "FIELDSET") field.querySelector("legend").after(error);
  else field.before(error);
  field.setAttribute("aria-invalid", "true");
  const described = [field.getAttribute("aria-describedby"), error.id].filter(Boolean).join(" ");
  field.setAttribute("aria-describedby", described);
}

function line({ field: name, message }) {
  const item = document.createElement("li");
  const field = fieldOf(name);
  const text = `${name}: ${message}`;
  if (!field) {
    item.textContent = text;
    return item;
  }
  const label = document.querySelector(`label[for="${field.id}"]`) ?? field.querySelector("legend");
  const link = document.createElement("a");
  link.href = `#${field.id}`;
  link.textContent = `${label?.textContent.trim() ?? name}: ${message}`;
  link.addEventListener("click", (event) => {
    event.preventDefault();
    const target = field.nodeName === "FIELDSET" ? field.querySelector("input:not(:disabled)") ?? field : field;
    target.focus();
    field.scrollIntoView({ block: "center" });
  });
  item.append(link);
  mark(field, message);
  return item;
}

function tell(title, detail, faults) {
  const box = document.createElement("div");
  box.className = "errors";
  box.tabIndex = -1;
  box.setAttribute("role", "alert");
  const heading = document.createElement("h2");
  heading.textContent = title;
  box.append(heading);
  if (detail) {
    const text = document.createElement("p");
    text.textContent = detail;
    box.append(text);
  }
  if (faults.length) {
    const list = document.createElement("ul");
    list.append(...faults.map(line));
    box.append(list);
  }
  summary.replaceChildren(box);
  box.focus();
}

export function showFault(told, fault) {
  tell(told.messages.faulty, "", [fault]);
}

// No answer came: what was sent may have been recorded.
export function showLost(told, detail = told.messages.lost) {
  tell(told.messages.unanswered, detail, []);
}

// An RFC 9457 problem of the service.
export function showProblem(told, problem) {
  const faults = problem.errors ?? [];
  if (problem.status === 401 || problem.status === 403) {
    tell(told.messages.refused, "", [{ field: "key", message: problem.detail }]);
  } else {
    tell(faults.length ? told.messages.faulty : told.messages.refused, faults.length ? "" : problem.detail, faults);
  }
}
