// The page: controls, numbers, and what is under the pointer.

const $ = id => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const picture = new Picture($("picture"));
const state = {layer: data.layer, head: data.shown.length === 1 ? data.shown[0] : -1, tokens: data.tokens, theme: "auto"};

// ALL is the head that stands for all of them.
const ALL = -1;

// Patterns are prepared when they are first seen.
const prepared = [];
const pattern = id => prepared[id] || (prepared[id] = prepare(data.patterns[id]));

const layer = () => data.layers[state.layer];
const blocks = () => Math.ceil(state.tokens / data.shape.block);
const seenHeads = () => state.head === ALL ? data.shown : [state.head];
const group = data.shape.heads / data.shape.kvHeads;
const percent = x => `${(100 * x).toLocaleString("en", {maximumSignificantDigits: 3})}\u00a0%`;

// sameAs is the heads of the choice that have the pattern of one of them.
const sameAs = head => data.shown.filter(h => layer().heads[h] === layer().heads[head]);

// headNames is the heads of the choice that have a pattern.
function headNames(id) {
  const heads = data.shown.filter(h => layer().heads[h] === id);
  return `${heads.length > 1 ? "heads" : "head"} ${list(heads, 5)}`;
}

// list writes numbers, and leaves out all but some.
function list(numbers, most) {
  return numbers.length <= most ? numbers.join(", ") : `${numbers.slice(0, most).join(", ")} and ${numbers.length - most} more`;
}

const element = (name, className, text) => {
  const e = document.createElement(name);
  if (className) e.className = className;
  if (text !== undefined) e.textContent = text;
  return e;
};

// Length: the slider goes by eighths of a doubling, in whole blocks.

const notches = () => Math.ceil(8 * Math.log2(layer().tokens / data.shape.block));
const notchTokens = n => n >= notches() ? layer().tokens : Math.round(2 ** (n / 8)) * data.shape.block;
const notchOf = tokens => Math.round(8 * Math.log2(Math.max(1, tokens / data.shape.block)));

function setTokens(tokens) {
  tokens = Math.min(layer().tokens, Math.max(1, Math.floor(tokens) || 1));
  if (tokens === state.tokens) return;
  state.tokens = tokens;
  picture.mark = null;
  update(true);
}

// Theme: as the system has it until the reader chooses.

const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
const theme = () => state.theme === "auto" ? (systemDark.matches ? "dark" : "light") : state.theme;

function setTheme(next) {
  state.theme = next;
  if (next === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  $("theme").textContent = `theme: ${next}`;
}

// seenPatterns is the patterns of the heads in sight, each with how many have it.
// Heads that are all the same are drawn as one of them.
function seenPatterns() {
  const weights = new Map();
  for (const h of seenHeads()) weights.set(layer().heads[h], (weights.get(layer().heads[h]) || 0) + 1);
  return [...weights].map(([id, weight]) => ({id, pattern: pattern(id), weight: weights.size > 1 ? weight : 1}));
}

// scene is what the picture draws.
function scene() {
  const patterns = seenPatterns(), css = getComputedStyle(document.documentElement), color = name => css.getPropertyValue(name).trim();
  return {
    patterns, heads: patterns.length > 1 ? seenHeads().length : 1, shape: data.shape, blocks: blocks(),
    slots: patterns.length > 1 ? patterns.length : data.classes.length, colors: palette(data, theme()),
    faint: color("--faint"), paper: color("--paper"), rule: color("--rule"), accent: color("--accent"),
  };
}

// update draws everything anew; whole says that all of the mask shall be seen.
function update(whole) {
  picture.resize();
  picture.scene = scene();
  if (whole || picture.whole) picture.fit();
  else picture.zoom(1, picture.left, picture.top);
  picture.draw();
  fillControls();
  fillLegend();
  hideTip();
  clearTimeout(update.later);
  update.later = setTimeout(fillNumbers, 40); // they may take longer than the picture
}

function fillControls() {
  $("slider").max = notches();
  $("slider").value = notchOf(state.tokens);
  $("slider").setAttribute("aria-valuetext", `${grouped(state.tokens)} tokens`);
  $("tokens").max = layer().tokens;
  $("tokens").value = state.tokens;
  $("layer").value = state.layer;
  $("head").value = state.head;
  const cell = picture.scale < 1 ? ` · a pixel is up to ${grouped(Math.ceil(1 / picture.scale))} × ${grouped(Math.ceil(1 / picture.scale))} blocks` : "";
  $("subtitle").textContent = `${layer().name} · ${grouped(state.tokens)} tokens in ${grouped(blocks())} blocks of ${data.shape.block} · ` +
    `query blocks down, key blocks across${cell}`;
}

// fillHeads lists the heads of a layer.
function fillHeads() {
  const options = data.shown.length > 1 ? [new Option(`all ${data.shown.length} heads`, ALL)] : [];
  for (const h of data.shown) {
    const others = sameAs(h).filter(o => o !== h);
    const same = others.length === data.shown.length - 1 ? "as all others" : `same: ${list(others, 4)}`;
    options.push(new Option(others.length ? `head ${h} (${same})` : `head ${h}`, h));
  }
  $("head").replaceChildren(...options);
}

function swatch(colors) {
  const s = element("span", colors.length > 1 ? "swatch ramp" : "swatch");
  s.append(...colors.map(c => {
    const i = element("i");
    i.style.background = c;
    return i;
  }));
  return s;
}

// fillLegend names the classes that the heads in sight have.
function fillLegend() {
  const patterns = seenPatterns(), color = c => data.classes[c][theme()];
  const entries = [[[color(SKIPPED)], data.classes[SKIPPED].name]];
  if (patterns.length > 1) {
    const ramp = data.shared[theme()];
    entries.push([ramp.slice(0, -1), "some heads, from few to most"], [ramp.slice(-1), "all heads"]);
    if (picture.owned()) {
      patterns.forEach((p, n) => entries.push([[data.owners[n]], `${headNames(p.id)} alone`]));
    }
  } else {
    const used = new Set(data.shape.causal ? [DIAGONAL] : []), {cells, table} = patterns[0].pattern;
    cells.forEach(c => used.add(c.class));
    if (table) table.classes.forEach(c => used.add(c));
    for (const c of [...used].sort((a, b) => a - b)) entries.push([[color(c)], data.classes[c].name]);
  }
  $("legend").replaceChildren(...entries.map(([colors, name]) => {
    const li = element("li");
    li.append(swatch(colors), name);
    return li;
  }));
  fillForm(patterns);
}

// fillForm writes down the closed form of one pattern.
function fillForm(patterns) {
  const {cells, table} = patterns[0].pattern, lines = [];
  if (patterns.length > 1) {
    $("form").replaceChildren(element("div", "", `${patterns.length} patterns; pick a head to see its cells`));
    return;
  }
  if (table) lines.push(element("div", "", `query blocks 0…${table.rows - 1} come from a table`));
  for (const c of cells) {
    const line = element("div");
    line.append(swatch([data.classes[c.class][theme()]]), element("span", "", c.text));
    lines.push(line);
  }
  $("form").replaceChildren(...lines);
}

// numbers of the heads in sight at this length.
function numbers() {
  const heads = seenHeads(), known = new Map();
  const once = (id, what) => known.get(id) || known.set(id, what(pattern(id))).get(id);
  let attended = 0, pairs = 0;
  for (const h of heads) {
    const id = layer().heads[h];
    const x = once(id, p => ({blocks: blocksOf(p, blocks()), pairs: pairsOf(p, data.shape, state.tokens)}));
    attended += x.blocks;
    pairs += x.pairs;
  }
  const n = blocks(), dense = (data.shape.causal ? n * (n + 1) / 2 : n * n) * heads.length;
  const kvHeads = [...new Set(heads.map(h => Math.floor(h / group)))], kept = new Map();
  let sum = 0;
  for (const kv of kvHeads) {
    const ids = [...new Set(layer().heads.slice(kv * group, (kv + 1) * group))], key = ids.join();
    if (!kept.has(key)) kept.set(key, keptOf(ids.map(pattern), data.shape, state.tokens));
    sum += kept.get(key);
  }
  return {attended, dense, density: pairs / heads.length / densePairs(data.shape, state.tokens), kept: sum, kvBlocks: n * kvHeads.length, kvHeads};
}

function fillNumbers() {
  const x = numbers(), of = (part, whole) => `of ${grouped(whole)} (${percent(part / whole)})`;
  const who = x.kvHeads.length > 1 ? `${x.kvHeads.length} KV heads` : `KV head ${x.kvHeads[0]}`;
  const lines = [
    [state.head === ALL ? `Blocks attended by ${seenHeads().length} heads` : "Blocks attended", grouped(x.attended), of(x.attended, x.dense)],
    ["Density, in token pairs", x.density.toFixed(4), x.density > 0 ? `ideal speed-up ${(1 / x.density).toFixed(2)}×` : ""],
    [`KV blocks kept for later, ${who}`, grouped(x.kept), of(x.kept, x.kvBlocks)],
  ];
  $("numbers").replaceChildren(...lines.flatMap(([name, value, more]) => {
    const dd = element("dd");
    dd.append(element("b", "", value), ` ${more}`);
    return [element("dt", "", name), dd];
  }));
}

// describe says what a block is: lines of text, the first of them is the answer.
function describe({i, j}) {
  const range = n => `${grouped(n * data.shape.block)}–${grouped(Math.min((n + 1) * data.shape.block, state.tokens) - 1)}`;
  const places = [`query block ${grouped(i)}, tokens ${range(i)}`, `key block ${grouped(j)}, tokens ${range(j)}`];
  if (data.shape.causal && j > i) return ["after the query", ...places];
  const holders = seenHeads().map(h => ({h, part: partOf(pattern(layer().heads[h]), i, j)})).filter(x => x.part);
  if (holders.length === 0) return ["skipped", ...places];
  const names = [...new Set(holders.map(x => data.classes[x.part.class].name))];
  if (data.shape.causal && i === j) names.push("on the diagonal");
  if (state.head !== ALL) return [names.join(", "), ...places, ...holders.map(x => x.part.text).filter(Boolean)];
  const answer = `${holders.length} of ${seenHeads().length} heads: ${names.join(", ")}`;
  return [answer, ...places, holders.length < seenHeads().length ? `heads ${list(holders.map(x => x.h), 12)}` : "every head"];
}

// showTip puts a block's description beside it, and into the line for readers.
function showTip(block) {
  picture.point(block);
  const [answer, ...more] = describe(block), tip = $("tip");
  tip.replaceChildren(element("b", "", answer), ...more.map(text => element("span", "faint", text)));
  tip.hidden = false;
  const ratio = picture.ratio, stage = $("stage").getBoundingClientRect();
  const x = picture.placeX(block.j + 1) / ratio, y = picture.placeY(block.i + 1) / ratio, size = picture.scale / ratio;
  const left = x + 14 + tip.offsetWidth > stage.width ? x - size - 14 - tip.offsetWidth : x + 14;
  const top = y + 14 + tip.offsetHeight > stage.height ? y - size - 14 - tip.offsetHeight : y + 14;
  tip.style.left = `${Math.max(0, left)}px`;
  tip.style.top = `${Math.max(0, top)}px`;
  $("status").textContent = `${answer} · ${more.join(" · ")}`;
}

function hideTip() {
  $("tip").hidden = true;
  $("status").textContent = "";
}

function dropMark() {
  hideTip();
  picture.point(null);
}

// moved draws the view after it has changed.
function moved() {
  picture.draw();
  fillControls();
  fillLegend();
  if (!picture.mark || !picture.sees(picture.mark)) hideTip();
  else showTip(picture.mark);
}

function zoomBy(factor, px, py) {
  picture.zoom(factor, px, py);
  moved();
}

// zoomMiddle zooms at the mark, or in the middle of what is seen.
function zoomMiddle(factor) {
  const m = picture.mark;
  if (m) zoomBy(factor, picture.placeX(m.j + 0.5), picture.placeY(m.i + 0.5));
  else zoomBy(factor, picture.left + picture.w / 2, picture.top + picture.h / 2);
}

function showAll() {
  picture.fit();
  moved();
}

// The pointer.

const at = event => {
  const box = picture.canvas.getBoundingClientRect();
  return [(event.clientX - box.left) * picture.ratio, (event.clientY - box.top) * picture.ratio];
};

let drag = null;
picture.canvas.addEventListener("pointerdown", e => {
  const [px, py] = at(e);
  drag = {px, py, x: picture.x, y: picture.y};
  picture.canvas.setPointerCapture(e.pointerId);
});
picture.canvas.addEventListener("pointermove", e => {
  const [px, py] = at(e);
  if (drag) {
    picture.canvas.classList.add("dragged");
    picture.x = drag.x - (px - drag.px) / picture.scale;
    picture.y = drag.y - (py - drag.py) / picture.scale;
    picture.hold();
    picture.mark = null;
    hideTip();
    moved();
    return;
  }
  const block = picture.blockAt(px, py), m = picture.mark;
  if (!block) dropMark();
  else if (!m || m.i !== block.i || m.j !== block.j) showTip(block);
});
for (const end of ["pointerup", "pointercancel"]) {
  picture.canvas.addEventListener(end, () => {
    drag = null;
    picture.canvas.classList.remove("dragged");
  });
}
picture.canvas.addEventListener("pointerleave", () => { if (document.activeElement !== picture.canvas) dropMark(); });
picture.canvas.addEventListener("wheel", e => {
  e.preventDefault();
  const [px, py] = at(e);
  picture.zoom(2 ** (-e.deltaY * (e.deltaMode === 1 ? 20 : 1) / 300), px, py);
  picture.mark = picture.blockAt(px, py); // another one may be under the pointer now
  moved();
}, {passive: false});

// The keyboard, in the picture.

const arrows = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1], PageUp: [-16, 0], PageDown: [16, 0]};

function moveMark([di, dj]) {
  const last = blocks() - 1, clamp = x => Math.min(last, Math.max(0, x)), m = picture.mark;
  const middle = (from, pixels) => Math.floor(from + Math.min(last + 1, pixels / picture.scale) / 2);
  const next = m ? {i: clamp(m.i + di), j: clamp(m.j + dj)} : {i: clamp(middle(picture.y, picture.h)), j: clamp(middle(picture.x, picture.w))};
  const {x, y} = picture;
  picture.reveal(next.i, next.j);
  picture.mark = next;
  if (picture.x !== x || picture.y !== y) picture.draw();
  showTip(next);
}

function moveView([di, dj]) {
  picture.x += Math.sign(dj) * picture.w / picture.scale / 8;
  picture.y += Math.sign(di) * picture.h / picture.scale / 8;
  picture.hold();
  moved();
}

// stepHead takes the next or the previous head of the picker.
function stepHead(by) {
  const picker = $("head"), to = picker.selectedIndex + by;
  if (to < 0 || to >= picker.options.length) return;
  state.head = Number(picker.options[to].value);
  update(false);
}

const keys = {
  "+": () => zoomMiddle(1.5), "=": () => zoomMiddle(1.5), "-": () => zoomMiddle(1 / 1.5), "0": showAll, Escape: dropMark,
  "[": () => stepHead(-1), "]": () => stepHead(1),
};

picture.canvas.addEventListener("keydown", e => {
  if (e.ctrlKey || e.metaKey || e.altKey) return;
  if (arrows[e.key]) (e.shiftKey ? moveView : moveMark)(arrows[e.key]);
  else if (keys[e.key]) keys[e.key]();
  else return;
  e.preventDefault();
});

// The controls.

$("layer").replaceChildren(...data.layers.map((l, n) => new Option(l.name, n)));
$("layer-field").hidden = data.layers.length < 2;
$("layer").addEventListener("change", () => {
  state.layer = Number($("layer").value);
  state.tokens = Math.min(state.tokens, layer().tokens);
  picture.mark = null;
  fillHeads();
  update(true);
});
$("head").addEventListener("change", () => {
  state.head = Number($("head").value);
  update(false);
});
$("slider").addEventListener("input", () => setTokens(notchTokens(Number($("slider").value))));
$("tokens").addEventListener("change", () => {
  setTokens(Number($("tokens").value));
  $("tokens").value = state.tokens;
});
$("in").addEventListener("click", () => zoomMiddle(1.5));
$("out").addEventListener("click", () => zoomMiddle(1 / 1.5));
$("fit").addEventListener("click", showAll);
$("theme").addEventListener("click", () => {
  setTheme({auto: "light", light: "dark", dark: "auto"}[state.theme]);
  update(false);
});
systemDark.addEventListener("change", () => update(false));
new ResizeObserver(() => { if (picture.resize()) update(false); }).observe(picture.canvas);

setTheme("auto");
fillHeads();
update(true);
