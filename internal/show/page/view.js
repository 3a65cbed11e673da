// The picture on its canvas: what part of the mask is seen, and how it gets there.

// The space of the rulers, in CSS pixels.
const RULER_LEFT = 58, RULER_TOP = 30;

// axis cuts one direction into bins: origin is the block at the first pixel, scale
// the pixels of a block. Where blocks are larger than pixels a bin is a block.
// of[p] is the bin of a pixel, -1 outside of the mask.
function axis(origin, scale, pixels, blocks) {
  const edges = [], of = new Int32Array(pixels);
  if (scale >= 1) {
    const first = Math.max(0, Math.floor(origin)), end = Math.max(first, Math.min(blocks, Math.ceil(origin + pixels / scale)));
    for (let b = first; b <= end; b++) edges.push(b);
    for (let p = 0; p < pixels; p++) {
      const b = Math.floor(origin + (p + 0.5) / scale);
      of[p] = b < first || b >= end ? -1 : b - first;
    }
    return {edges, of};
  }
  for (let p = 0; p <= pixels; p++) edges.push(Math.min(blocks, Math.max(0, Math.floor(origin + p / scale))));
  for (let p = 0; p < pixels; p++) of[p] = edges[p] < edges[p + 1] ? p : -1;
  return {edges, of};
}

// Picture draws a scene, part of a mask: patterns, each with how many heads have
// it; heads, their sum, more than 1 where they differ; shape; blocks, the length;
// slots to count in; and colours.
class Picture {
  constructor(canvas) {
    this.canvas = canvas;
    this.x = this.y = 0; // block at the upper left corner
    this.scale = 1;      // device pixels of a block
    this.whole = true;   // all of the mask is in sight
    this.mark = null;    // the block that is pointed at: {i, j}
    this.job = 0;
  }

  // resize takes the canvas's size on the screen; it says whether that changed.
  resize() {
    const ratio = window.devicePixelRatio || 1, box = this.canvas.getBoundingClientRect();
    const w = Math.max(1, Math.round(box.width * ratio)), h = Math.max(1, Math.round(box.height * ratio));
    if (this.canvas.width === w && this.canvas.height === h && this.ratio === ratio) return false;
    this.canvas.width = w;
    this.canvas.height = h;
    this.ratio = ratio;
    this.left = Math.round(RULER_LEFT * ratio);
    this.top = Math.round(RULER_TOP * ratio);
    this.w = Math.max(1, w - this.left - 1);
    this.h = Math.max(1, h - this.top - 1);
    return true;
  }

  // least is the scale that shows everything: whole pixels where there are several,
  // so that blocks are equal.
  least() {
    const scale = Math.min(this.w, this.h) / this.scene.blocks;
    return scale >= 8 ? Math.floor(scale) : scale;
  }

  most() { return Math.max(this.least(), 48 * this.ratio); }

  fit() {
    this.whole = true;
    this.scale = this.least();
    this.x = this.y = 0;
  }

  // zoom by a factor, and leave the block under a point (in device pixels) there.
  zoom(factor, px, py) {
    const x = this.x + (px - this.left) / this.scale, y = this.y + (py - this.top) / this.scale;
    this.scale = Math.min(this.most(), Math.max(this.least(), this.scale * factor));
    this.whole = this.scale === this.least();
    this.x = x - (px - this.left) / this.scale;
    this.y = y - (py - this.top) / this.scale;
    this.hold();
  }

  // hold keeps the view within the mask.
  hold() {
    const inside = (at, pixels) => Math.max(0, Math.min(at, this.scene.blocks - pixels / this.scale));
    this.x = inside(this.x, this.w);
    this.y = inside(this.y, this.h);
  }

  // reveal moves the view until a block is seen.
  reveal(i, j) {
    const into = (at, block, pixels) => Math.min(block, Math.max(at, block + 1 - pixels / this.scale));
    this.x = into(this.x, j, this.w);
    this.y = into(this.y, i, this.h);
    this.hold();
  }

  // sees says whether a block is in sight.
  sees({i, j}) {
    const inside = (block, from, pixels) => block + 1 > from && block < from + pixels / this.scale;
    return inside(i, this.y, this.h) && inside(j, this.x, this.w);
  }

  // blockAt is the block at a point in device pixels, null outside of the mask.
  blockAt(px, py) {
    const j = Math.floor(this.x + (px - this.left) / this.scale), i = Math.floor(this.y + (py - this.top) / this.scale);
    const inside = px >= this.left && py >= this.top && i >= 0 && j >= 0 && i < this.scene.blocks && j < this.scene.blocks;
    return inside ? {i, j} : null;
  }

  // draw paints the scene: where a pixel holds many rows some of them first, then
  // all of them a slice of time after the other.
  draw() {
    const job = ++this.job, {scene} = this;
    const cols = axis(this.x, this.scale, this.w, scene.blocks), rows = axis(this.y, this.scale, this.h, scene.blocks);
    const plan = {cols, rows, bins: newBins(cols.edges, scene.slots), pixels: new Uint32Array((cols.edges.length - 1) * (rows.edges.length - 1))};
    const many = Math.ceil(1 / this.scale);
    this.plan = plan;
    this.canvas.dataset.state = "draft";
    if (many > 8) {
      for (let r = 0; r < rows.edges.length - 1; r++) this.line(plan, r, Math.ceil(many / 3));
      this.blit(plan);
    }
    this.refine(plan, job, 0);
  }

  // refine computes lines from r on, for some milliseconds.
  refine(plan, job, r) {
    if (job !== this.job) return; // another picture is under way
    const end = performance.now() + 24, n = plan.rows.edges.length - 1;
    while (r < n && performance.now() < end) this.line(plan, r++, 1);
    if (r < n) {
      setTimeout(() => this.refine(plan, job, r), 0);
      return;
    }
    this.blit(plan);
    this.canvas.dataset.state = "done";
  }

  // owned says that a block which one pattern alone attends has its colour: where
  // blocks are seen one by one, and there are colours enough.
  owned() {
    const {patterns, colors} = this.scene;
    return this.scale >= 1 && patterns.length > 1 && patterns.length <= colors.owners.length;
  }

  // line computes one row of bins, of its rows every stride-th.
  line(plan, r, stride) {
    const {bins} = plan, {patterns, heads, shape, blocks, colors} = this.scene, several = patterns.length > 1, owned = this.owned();
    clear(bins);
    for (let i = plan.rows.edges[r]; i < plan.rows.edges[r + 1]; i += stride) {
      addPossible(bins, shape, i, blocks, heads);
      patterns.forEach(({pattern, weight}, n) => addRow(bins, pattern, shape, i, blocks, weight, several ? n : -1));
    }
    for (let b = 0; b < bins.n; b++) {
      plan.pixels[r * bins.n + b] = several ? colorOfSeveral(colors, lookOfSeveral(bins, b), owned) : colorOf(colors, look(bins, b));
    }
  }

  // blit puts the bins on the canvas, and rulers and the mark around and over them.
  blit(plan) {
    const {cols, rows, bins, pixels} = plan, {scene} = this, c = this.canvas.getContext("2d");
    const image = c.createImageData(this.w, this.h), out = new Uint32Array(image.data.buffer), paper = scene.colors.of[FUTURE][0];
    for (let y = 0; y < this.h; y++) {
      const r = rows.of[y] * bins.n;
      for (let x = 0; x < this.w; x++) out[y * this.w + x] = r < 0 || cols.of[x] < 0 ? paper : pixels[r + cols.of[x]];
    }
    c.fillStyle = scene.paper;
    c.fillRect(0, 0, this.canvas.width, this.canvas.height);
    c.putImageData(image, this.left, this.top);
    this.grid(c);
    this.rulers(c);
    this.drawMark(c);
  }

  // placeX and placeY say where a block's edge is on the canvas.
  placeX(j) { return this.left + (j - this.x) * this.scale; }

  placeY(i) { return this.top + (i - this.y) * this.scale; }

  // grid separates blocks that are large enough, and frames the mask.
  grid(c) {
    const {blocks, paper, rule} = this.scene, right = this.left + this.w, bottom = this.top + this.h;
    if (this.scale >= 7 * this.ratio) {
      c.fillStyle = paper;
      const edge = at => Math.ceil(at - 0.5); // the first pixel whose middle is beyond
      for (let j = Math.ceil(this.x); j <= blocks && this.placeX(j) < right; j++) c.fillRect(edge(this.placeX(j)), this.top, 1, this.h);
      for (let i = Math.ceil(this.y); i <= blocks && this.placeY(i) < bottom; i++) c.fillRect(this.left, edge(this.placeY(i)), this.w, 1);
    }
    c.strokeStyle = rule;
    c.lineWidth = 1;
    const w = Math.min(right, Math.round(this.placeX(blocks))) - this.left, h = Math.min(bottom, Math.round(this.placeY(blocks))) - this.top;
    c.strokeRect(this.left - 0.5, this.top - 0.5, w + 1, h + 1);
  }

  // rulers name token positions at round numbers of blocks.
  rulers(c) {
    const {blocks, shape, faint} = this.scene, small = 11.5 * this.ratio;
    c.fillStyle = faint;
    c.font = `${small}px system-ui, "Helvetica Neue", Arial, sans-serif`;
    let every = 1;
    while (every * this.scale < 62 * this.ratio) every *= 2;
    const first = at => Math.ceil(Math.max(0, at) / every) * every, tick = Math.round(4 * this.ratio);
    c.textAlign = "center";
    c.textBaseline = "alphabetic";
    for (let j = first(this.x); j < blocks && this.placeX(j) < this.left + this.w; j += every) {
      const at = Math.round(this.placeX(j));
      c.fillRect(at, this.top - tick, 1, tick);
      c.fillText(short(j * shape.block, every * shape.block), Math.max(at, this.left + 4 * this.ratio), this.top - tick - 4 * this.ratio);
    }
    c.textAlign = "right";
    c.textBaseline = "middle";
    for (let i = first(this.y); i < blocks && this.placeY(i) < this.top + this.h; i += every) {
      const at = Math.round(this.placeY(i));
      c.fillRect(this.left - tick, at, tick, 1);
      c.fillText(short(i * shape.block, every * shape.block), this.left - tick - 4 * this.ratio, Math.max(at, this.top + 4 * this.ratio));
    }
  }

  // drawMark frames the block that is pointed at, and leads the eye to it.
  drawMark(c) {
    if (!this.mark) return;
    const {accent, paper} = this.scene, {i, j} = this.mark, least = 7 * this.ratio;
    const size = Math.max(this.scale, least), grow = (size - this.scale) / 2;
    const x = this.placeX(j) - grow, y = this.placeY(i) - grow;
    c.save();
    c.beginPath();
    c.rect(this.left - least, this.top - least, this.w + least, this.h + least);
    c.clip();
    c.globalAlpha = 0.55;
    c.fillStyle = accent;
    c.fillRect(this.left, Math.round(y + size / 2), x - this.left, 1);
    c.fillRect(Math.round(x + size / 2), this.top, 1, y - this.top);
    c.globalAlpha = 1;
    c.lineWidth = 4 * this.ratio;
    c.strokeStyle = paper;
    c.strokeRect(x, y, size, size);
    c.lineWidth = 2 * this.ratio;
    c.strokeStyle = accent;
    c.strokeRect(x, y, size, size);
    c.restore();
  }

  // point moves the mark; the mask itself stays as it was drawn.
  point(block) {
    this.mark = block;
    if (this.canvas.dataset.state === "done") this.blit(this.plan);
  }
}

// short writes a place on a ruler: 96, 32K, 1.25M; in full where the ruler goes by less
// than a quarter of a unit.
function short(tokens, every) {
  for (const [unit, letter] of [[1 << 20, "M"], [1 << 10, "K"]]) {
    if (tokens >= unit && every % (unit / 4) === 0) return grouped(tokens / unit) + letter;
  }
  return grouped(tokens);
}

// grouped writes a number with commas; a fraction has two digits at most.
function grouped(n) {
  return String(n).replace(/\B(?=(\d{3})+(?!\d))/g, ",");
}
