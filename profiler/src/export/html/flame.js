// The address of such a document cannot be changed, and need not be.
history.replaceState = () => {};
// What can be clicked can be reached and pressed by keyboard too.
addEventListener("load", () => {
  const frames = [...document.querySelectorAll("#frames g")];
  const words = ["unzoom", "search"].map((id) => document.getElementById(id)).filter(Boolean);
  for (const element of [...frames, ...words]) {
    const title = element.querySelector("title");
    element.setAttribute("tabindex", "0");
    element.setAttribute("role", "button");
    if (title) element.setAttribute("aria-label", title.textContent);
    element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      const target = element.querySelector("rect") || element;
      target.dispatchEvent(new MouseEvent("click", { bubbles: true }));
    });
  }
});
