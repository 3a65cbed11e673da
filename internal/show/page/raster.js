// What a part of the pattern looks like, in bins of blocks: a bin is a block
// where blocks are larger than pixels, else the blocks of a pixel.

// Classes that the picture knows by name; the others come from the data.
const FUTURE = 0, SKIPPED = 1, DIAGONAL = 2;

// levels is the number of strengths of a colour, as in the other pictures.
const levels = 8;

// newBins is room for one row of bins with these edges: bin n holds the key blocks
// from edges[n] up to edges[n + 1], without it. Blocks are counted by slots: by
// class where one pattern is seen, by pattern where several are.
function newBins(edges, slots) {
  const n = edges.length - 1, index = new Int32Array(edges[n] - edges[0]);
  for (let b = 0; b < n; b++) index.fill(b, edges[b] - edges[0], edges[b + 1] - edges[0]);
  return {edges, n, index, slots, counts: new Float64Array(n * slots), possible: new Float64Array(n)};
}

// clear empties bins for the next row of them.
function clear(bins) {
  bins.counts.fill(0);
  bins.possible.fill(0);
}

// addRow counts the blocks of row i of a pattern, weight times: in a slot, or by
// class where that is -1.
function addRow(bins, p, shape, i, blocks, weight, slot) {
  const {edges, n, index, slots, counts} = bins, end = edges[n];
  const at = j => index[j - edges[0]];
  eachRun(p, i, Math.min(blocks, end), (first, last, step, cls) => {
    const into = slot < 0 ? cls : slot;
    if (slot < 0 && shape.causal && last === i) {
      if (i >= edges[0]) counts[at(i) * slots + DIAGONAL] += weight;
      last -= step;
    }
    if (first < edges[0]) first += Math.ceil((edges[0] - first) / step) * step;
    if (first > last) return;
    if ((last - first) / step < 2 * n) {
      for (let j = first; j <= last; j += step) counts[at(j) * slots + into] += weight;
      return;
    }
    for (let b = at(first), to = at(last); b <= to; b++) {
      const lo = Math.max(edges[b], first), hi = Math.min(edges[b + 1] - 1, last);
      const members = Math.floor((hi - first) / step) - Math.ceil((lo - first) / step) + 1;
      if (members > 0) counts[b * slots + into] += weight * members;
    }
  });
}

// addPossible counts what a dense pattern would attend in row i, weight times.
function addPossible(bins, shape, i, blocks, weight) {
  const end = shape.causal ? Math.min(blocks, i + 1) : blocks;
  for (let b = 0; b < bins.n && bins.edges[b] < end; b++) {
    bins.possible[b] += weight * (Math.min(bins.edges[b + 1], end) - bins.edges[b]);
  }
}

// look is what bin b of one pattern shows: the class with the most blocks, and how
// strongly.
function look(bins, b) {
  const {slots, counts} = bins, possible = bins.possible[b];
  if (possible === 0) return {class: FUTURE, level: 0};
  let sum = 0, most = 0, cls = SKIPPED;
  for (let s = 0; s < slots; s++) {
    const n = counts[b * slots + s];
    sum += n;
    if (n > most) [most, cls] = [n, s];
  }
  return {class: cls, level: Math.ceil(sum * levels / possible)};
}

// lookOfSeveral is what bin b of several patterns shows: how many heads attend, one
// level more for all of them; owner is the pattern that is alone, -1 for none.
function lookOfSeveral(bins, b) {
  const {slots, counts} = bins, possible = bins.possible[b];
  if (possible === 0) return {class: FUTURE, level: 0, owner: -1};
  let sum = 0, holders = 0, owner = -1;
  for (let s = 0; s < slots; s++) {
    const n = counts[b * slots + s];
    sum += n;
    if (n > 0) [holders, owner] = [holders + 1, s];
  }
  const level = sum === possible ? levels + 1 : Math.ceil(sum * levels / possible);
  return {class: SKIPPED, level, owner: holders === 1 && sum < possible ? owner : -1};
}

// palette is the colours of a theme as pixels: of each class the strengths 0 to
// levels, of several heads 1 to levels and then all of them, of single patterns.
function palette(data, theme) {
  const pixel = ([r, g, b]) => (255 << 24 | b << 16 | g << 8 | r) >>> 0;
  const skipped = parse(data.classes[SKIPPED][theme]);
  const of = data.classes.map((c, n) => {
    const top = parse(c[theme]), out = [];
    for (let level = 0; level <= levels; level++) {
      // Half of the way is given at once: a single block must not vanish.
      const part = n <= SKIPPED || level === levels ? 1 : (levels + level) / (2 * levels);
      out.push(pixel(top.map((x, k) => Math.floor(skipped[k] + (x - skipped[k]) * part))));
    }
    return out;
  });
  return {
    of, owners: data.owners.map(c => pixel(parse(c))),
    several: [of[SKIPPED][0], ...data.shared[theme].map(c => pixel(parse(c)))],
  };
}

// parse reads #rrggbb.
function parse(hex) {
  return [1, 3, 5].map(n => parseInt(hex.slice(n, n + 2), 16));
}

// colorOf is the pixel of a look.
function colorOf(colors, l) {
  return colors.of[l.class][Math.min(l.level, levels)];
}

// colorOfSeveral is the pixel of a look of several patterns; owned says that those
// with a block of their own show it in their colour.
function colorOfSeveral(colors, l, owned) {
  if (l.class === FUTURE) return colors.of[FUTURE][0];
  return owned && l.owner >= 0 ? colors.owners[l.owner] : colors.several[l.level];
}
