// Faults of a report: listed at the top with links, and repeated at each field.

const summary = document.querySelector("#errors");

// A fault that was found before anything was sent.
export class Fault extends Error {
  constructor(field, message) {
    super(message);
    this.field = field;
  }
}

export function clearFaults() {
  summary.replaceChildren();
  for (const error of document.querySelectorAll(".error")) error.remove();
  for (const field of document.querySelectorAll("[aria-invalid]")) {
    field.removeAttribute("aria-invalid");
    const others = (field.getAttribute("aria-describedby") ?? "").split(" ").filter((id) => id && !id.endsWith("-error"));
    if (others.length) field.setAttribute("aria-describedby", others.join(" "));
    else field.removeAttribute("aria-describedby");
  }
}

// Return the field, or the nearest one that contains it: `citations.0.source.url` has a field of
// its own, `crossings.3` belongs to that of all crossings. Faults of a row of many, such as
// `confirmations.3.sides`, belong to the field that all rows share.
function fieldOf(name) {
  for (let part = name.replace(/^confirmations\.\d+\.?/, "") || name; part; part = part.slice(0, Math.max(part.lastIndexOf("."), 0))) {
    const field = [...document.querySelectorAll("[data-field]")].find(
      (candidate) => candidate.dataset.field.split(" ").includes(part) && !candidate.closest("[hidden]"),
    );
    if (field) return field;
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

function showSummary(title, detail, faults) {
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

export function showFault(texts, fault) {
  showSummary(texts.messages.faulty, "", [fault]);
}

// No response arrived, so the report may or may not have been recorded.
export function showLost(texts, detail = texts.messages.lost) {
  showSummary(texts.messages.unanswered, detail, []);
}

// Show an RFC 9457 problem of the service.
export function showProblem(texts, problem) {
  const faults = problem.errors ?? [];
  if (problem.status === 401 || problem.status === 403) {
    showSummary(texts.messages.refused, "", [{ field: "key", message: problem.detail }]);
  } else {
    showSummary(faults.length ? texts.messages.faulty : texts.messages.refused, faults.length ? "" : problem.detail, faults);
  }
}
