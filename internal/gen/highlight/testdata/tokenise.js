// Tokenises texts with VS Code's engine. Usage: node tokenise.js MODULES GRAMMAR,
// with a JSON list of texts on standard input; writes for each text its tokens:
// line and UTF-16 column of both ends, and scopes.
const fs = require('fs');
const path = require('path');
const [, , modules, grammarFile] = process.argv;
const textmate = require(path.join(modules, 'vscode-textmate'));
const oniguruma = require(path.join(modules, 'vscode-oniguruma'));

async function main() {
  const wasm = fs.readFileSync(path.join(modules, 'vscode-oniguruma', 'release', 'onig.wasm'));
  await oniguruma.loadWASM(wasm.buffer.slice(wasm.byteOffset, wasm.byteOffset + wasm.byteLength));
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (s) => new oniguruma.OnigString(s),
    }),
    loadGrammar: async () => textmate.parseRawGrammar(fs.readFileSync(grammarFile, 'utf8'), grammarFile),
  });
  const grammar = await registry.loadGrammar('source.s2');
  const out = JSON.parse(fs.readFileSync(0, 'utf8')).map((text) => {
    const tokens = [];
    let state = textmate.INITIAL;
    text.split('\n').forEach((line, n) => {
      const result = grammar.tokenizeLine(line, state);
      for (const t of result.tokens) tokens.push({ line: n, start: t.startIndex, end: t.endIndex, scopes: t.scopes });
      state = result.ruleStack;
    });
    return tokens;
  });
  process.stdout.write(JSON.stringify(out));
}

main().catch((e) => { console.error(e); process.exit(1); });
