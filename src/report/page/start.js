// Draw the page.

(() => {
  const page = report.read("page");
  document.getElementById("title").textContent = page.title;
  document.getElementById("subtitle").textContent = page.subtitle;
  startTabs(page.sections);
  const top = Number(view.get("y"));
  if (top) {
    view.set("y", "");
    scrollTo(0, top);
  }
  if (page.live) startLive(page.live);
})();
