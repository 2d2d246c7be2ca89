// A click on the head of a column sorts the rows of its table: largest first, and then smallest first.
const numbered = (row) => [...row.querySelectorAll("[data-value]")].map((cell) => Number(cell.dataset.value));

function sortRows(table, column, isRising) {
  const rows = [...table.tBodies[0].rows].map((row) => ({ row, value: numbered(row)[column] }));
  rows.sort((a, b) => (isRising ? a.value - b.value : b.value - a.value));
  table.tBodies[0].append(...rows.map(({ row }) => row));
}

for (const table of document.querySelectorAll(".sortable")) {
  const heads = [...table.tHead.rows[0].cells].slice(1);
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    if (column === 0) head.ariaSort = "descending";
    button.addEventListener("click", () => {
      const isRising = head.ariaSort === "descending";
      for (const each of heads) each.ariaSort = null;
      head.ariaSort = isRising ? "ascending" : "descending";
      sortRows(table, column, isRising);
    });
  });
}
