const tools = find(".tools"), photo = find(".photo"), panel = find(".panel");
const sections = all(".layer"), grids = all(".cells"), cells = [];
const state = { layer: 0, cell: 0, pinned: false, touch: false };
const layer = () => data.layers[state.layer];
