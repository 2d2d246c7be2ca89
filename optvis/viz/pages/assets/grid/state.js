import { all, data, find } from "../helpers.js";

export const tools = find(".tools"),
  photo = find(".photo"),
  panel = find(".panel");
export const sections = all(".layer"),
  grids = all(".cells"),
  cells = [];
export const state = { layer: 0, cell: 0, pinned: false, touch: false };
export const layer = () => data.layers[state.layer];
