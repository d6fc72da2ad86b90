// Adds a copy button beside each text in a `.copy` element, if the browser allows copying.

for (const box of navigator.clipboard ? document.querySelectorAll(".copy") : []) {
  const code = box.querySelector("code");
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.added = ""; // so that morph.js keeps it
  button.textContent = document.body.dataset.copy;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(code.textContent);
    button.textContent = document.body.dataset.copied;
  });
  box.append(button);
}
