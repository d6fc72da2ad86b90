// Makes one element like another by altering only what differs, so that focus, scroll position
// and opened details stay as the reader has them.
//
// Elements with `data-keep` are left alone: they hold what the reader does. Those with
// `data-added` came from scripts: the server knows nothing of them.

const isOurs = (node) => !(node.nodeType === Node.ELEMENT_NODE && "added" in node.dataset);

export function morph(from, to) {
  morphAttributes(from, to);
  const olds = [...from.childNodes].filter(isOurs);
  const news = [...to.childNodes];
  news.forEach((next, place) => {
    const old = olds[place];
    if (!old) {
      from.append(document.importNode(next, true));
    } else if (old.nodeType !== next.nodeType || old.nodeName !== next.nodeName || old.id !== next.id) {
      old.replaceWith(document.importNode(next, true));
    } else if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.data !== next.data) old.data = next.data;
    } else if (!("keep" in old.dataset)) {
      morph(old, next);
    }
  });
  olds.slice(news.length).forEach((old) => old.remove());
}

function morphAttributes(from, to) {
  for (const { name, value } of to.attributes) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    const isReaders = name === "open" && from.nodeName === "DETAILS";
    if (!to.hasAttribute(name) && !isReaders) from.removeAttribute(name);
  }
}
