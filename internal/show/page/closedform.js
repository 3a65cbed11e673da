// The closed form as package ir means it: for a query block, which key blocks
// it attends, and through which part of the pattern. Nothing here knows of the
// page. Numbers stay below 2^53, so that doubles hold them exactly.

// prepare turns a pattern of the page's data into what the functions below take.
function prepare(raw) {
  const bound = x => x === null ? Infinity : x;
  const cells = raw.cells.map(c => {
    const [rowLo, rowHi, mod, res] = c.rows;
    const step = c.step, [phaseA, phaseC] = c.phase;
    const g = gcd(phaseA, step);
    return {
      rowLo, rowHi: bound(rowHi), mod, res, loA: c.lo[0], loC: c.lo[1], hiA: c.hi[0], hiC: bound(c.hi[1]),
      step, phaseA, phaseC, class: c.class, text: c.text,
      // Rows whose phase is a given residue recur every period of them.
      gcd: g, period: step / g, inverse: inverse(phaseA / g, step / g),
    };
  });
  return {cells, table: raw.table ? decode(raw.table) : null};
}

// decode reads a table: for each row its number of runs, for each run the gap to
// the one before, its length and its class, all as base-128 numbers.
function decode(table) {
  const bytes = base64(table.runs);
  let at = 0;
  const next = () => {
    let x = 0, unit = 1;
    for (;;) {
      const b = bytes[at++];
      x += (b & 127) * unit;
      if (b < 128) return x;
      unit *= 128;
    }
  };
  const start = new Int32Array(table.rows + 1), first = [], last = [], classes = [];
  for (let i = 0; i < table.rows; i++) {
    let j = 0;
    for (let n = next(); n > 0; n--) {
      j += next();
      first.push(j);
      j += next();
      last.push(j - 1);
      classes.push(next());
    }
    start[i + 1] = first.length;
  }
  return {rows: table.rows, start, first: Int32Array.from(first), last: Int32Array.from(last), classes: Uint8Array.from(classes)};
}

// base64 reads the standard alphabet.
function base64(text) {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  const value = new Map([...alphabet].map((c, n) => [c, n]));
  const end = text.indexOf("=") < 0 ? text.length : text.indexOf("=");
  const out = new Uint8Array(Math.floor(end * 3 / 4));
  let word = 0;
  for (let n = 0, at = 0; n < end; n++) {
    word = (word << 6 | value.get(text[n])) & 0xFFFFFF;
    if (n % 4 > 0) out[at++] = word >> [0, 4, 2, 0][n % 4];
  }
  return out;
}

function gcd(a, b) {
  while (b !== 0) [a, b] = [b, a % b];
  return a;
}

// inverse is a^-1 mod m, for a and m without a common factor.
function inverse(a, m) {
  let [r, s, x, y] = [m, a % m, 0, 1];
  while (s !== 0) {
    const q = Math.floor(r / s);
    [r, s, x, y] = [s, r - q * s, y, x - q * y];
  }
  return modulo(x, m);
}

// modulo is x mod m from 0 up.
function modulo(x, m) {
  const r = x % m;
  return r < 0 ? r + m : r;
}

// eachRun visits row i: first, last and step of its key blocks below blocks, and
// the class of each run. last is attended itself.
function eachRun(p, i, blocks, visit) {
  const t = p.table;
  if (t && i < t.rows) {
    for (let n = t.start[i]; n < t.start[i + 1] && t.first[n] < blocks; n++) {
      visit(t.first[n], Math.min(t.last[n], blocks - 1), 1, t.classes[n]);
    }
    return;
  }
  for (const c of p.cells) {
    if (i < c.rowLo || i >= c.rowHi || c.mod !== 1 && i % c.mod !== c.res) continue;
    const lo = Math.max(0, c.loA * i + c.loC), hi = Math.min(c.hiA * i + c.hiC, blocks - 1);
    const first = c.step === 1 ? lo : lo + modulo(c.phaseA * ((i - c.res) / c.mod) + c.phaseC - lo, c.step);
    if (first <= hi) visit(first, hi - (hi - first) % c.step, c.step, c.class);
  }
}

// count is the number of key blocks of row i below blocks.
function count(p, i, blocks) {
  let n = 0;
  eachRun(p, i, blocks, (first, last, step) => { n += (last - first) / step + 1; });
  return n;
}

// partOf says which part of a pattern holds a block: its class, and the cell that
// it is in; null where it is not attended.
function partOf(p, i, j) {
  if (p.table && i < p.table.rows) {
    let cls = -1;
    eachRun(p, i, j + 1, (first, last, step, c) => { if (last === j) cls = c; });
    return cls < 0 ? null : {class: cls, text: ""};
  }
  return p.cells.find(c => count({cells: [c], table: null}, i, j + 1) > count({cells: [c], table: null}, i, j)) || null;
}

// blocksOf is the number of attended pairs of blocks in the first blocks rows.
function blocksOf(p, blocks) {
  let n = 0;
  for (let i = 0; i < blocks; i++) n += count(p, i, blocks);
  return n;
}

// pairsOf is the number of attended pairs of tokens at a length: the diagonal of
// a causal model counts up to each query, and the last block up to the length.
function pairsOf(p, shape, tokens) {
  const size = shape.block, blocks = Math.ceil(tokens / size), tail = tokens - (blocks - 1) * size;
  let n = 0;
  for (let i = 0; i < blocks; i++) {
    const queries = i < blocks - 1 ? size : tail;
    const before = count(p, i, shape.causal ? i : blocks - 1);
    if (shape.causal) {
      const diagonal = count(p, i, i + 1) - before;
      n += queries * size * before + diagonal * queries * (queries + 1) / 2;
    } else {
      n += queries * (before * size + (count(p, i, blocks) - before) * tail);
    }
  }
  return n;
}

// densePairs is pairsOf of a pattern that attends everything.
function densePairs(shape, tokens) {
  return shape.causal ? tokens * (tokens + 1) / 2 : tokens * tokens;
}

// keptOf is the number of key blocks of the first tokens that a later query reads,
// at any later length, through some pattern of the list: what a KV head must keep.
function keptOf(patterns, shape, tokens) {
  const blocks = Math.ceil(tokens / shape.block), row = Math.floor(tokens / shape.block);
  const kept = new Uint8Array(blocks);
  for (const p of patterns) {
    const rows = p.table ? p.table.rows : 0;
    for (let i = row; i < rows; i++) {
      eachRun(p, i, blocks, (first, last) => kept.fill(1, first, last + 1));
    }
    for (const c of p.cells) {
      for (let j = 0; j < blocks; j++) {
        if (kept[j] === 0 && isRead(c, Math.max(row, rows), j)) kept[j] = 1;
      }
    }
  }
  return kept.reduce((sum, k) => sum + k, 0);
}

// isRead says whether some row of a cell from row on holds key block j.
function isRead(c, row, j) {
  let lo = Math.max(c.rowLo, row), hi = c.rowHi;
  if (c.loA > 0) hi = Math.min(hi, Math.floor((j - c.loC) / c.loA) + 1);
  else if (c.loC > j) return false;
  if (c.hiA > 0) lo = Math.max(lo, Math.ceil((j - c.hiC) / c.hiA));
  else if (c.hiC < j) return false;
  lo += modulo(c.res - lo, c.mod);
  if (lo >= hi) return false;
  // phaseC + phaseA·t ≡ j (mod step), for t of these rows.
  const d = modulo(j - c.phaseC, c.step);
  if (d % c.gcd !== 0) return false;
  const t = (lo - c.res) / c.mod, t0 = d / c.gcd % c.period * c.inverse % c.period;
  return t + modulo(t0 - t, c.period) <= (hi === Infinity ? Infinity : Math.floor((hi - 1 - c.res) / c.mod));
}
