document.addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  const direction = { ArrowLeft: "prev", ArrowRight: "next", Escape: "up" }[event.key];
  const link = direction && document.querySelector(`a[rel="${direction}"]`);
  if (link) location.href = link.href;
});
