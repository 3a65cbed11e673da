package dsl

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
	"github.com/s2attention/s2c/dtype"
)

const testModel = "model m { heads 4  kv_heads 2  head_dim 64  causal  layers 4 }\n"

// brief is line:col code of each diagnostic.
func brief(list diag.List) []string {
	var out []string
	for _, d := range list {
		p := d.Span.Pos()
		out = append(out, fmt.Sprintf("%d:%d %s", p.Line, p.Col, d.Code))
	}
	return out
}

// TestAllErrors demands every error of a file in one run, and nothing that
// merely follows from them.
func TestAllErrors(t *testing.T) {
	text := `model m { heads 4  kv_heads 3  head_dim 60  colour 7  causal  layers 4 }
param a = 1 +
param b = a + 1, c = 0
pattern p(h) = window(b) | stride(c
pattern q = p | windw(4)
pattern r(h) = window(0) | stride(4, phase: 1 / c) | columns(9..3)
layer 0 -> q, r
layer 1 -> head 0..9: dense
layer * dense
require covrage, density < 0.5 on layer 7
`
	_, list := loadText(text, nil)
	want := []string{
		"1:20 " + string(diag.HeadsNotDivided), "1:41 " + string(diag.BadField), "1:45 " + string(diag.UnknownField),
		"2:14 " + string(diag.Syntax), "4:34 " + string(diag.Brackets), "5:17 " + string(diag.UnknownPattern),
		"9:9 " + string(diag.Syntax), "10:9 " + string(diag.UnknownProperty), "10:18 " + string(diag.BadRequire),
	}
	if d := cmp.Diff(want, brief(list)); d != "" {
		t.Errorf("%s\n%s", d, diag.Text(list, false))
	}
	text = strings.NewReplacer("kv_heads 3", "kv_heads 2", "head_dim 60", "head_dim 64", "colour 7  ", "").Replace(text)
	_, list = loadText(text, nil)
	want = []string{
		"2:14 " + string(diag.Syntax), "4:34 " + string(diag.Brackets), "5:17 " + string(diag.UnknownPattern),
		"6:23 " + string(diag.OutOfRange), "6:49 " + string(diag.DivideByZero), "6:62 " + string(diag.ReversedRange),
		"8:17 " + string(diag.NoSuchHead), "9:9 " + string(diag.Syntax),
		"10:9 " + string(diag.UnknownProperty), "10:18 " + string(diag.BadRequire), "10:41 " + string(diag.NoSuchLayer),
	}
	if d := cmp.Diff(want, brief(list)); d != "" {
		t.Errorf("%s\n%s", d, diag.Text(list, false))
	}
}

// TestErrorsOf checks single errors and their place.
func TestErrorsOf(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"chained comparison", "layer * -> where(0 < i < 3, max: 64)", "1:24 S2C0103"},
		{"equality", "layer * -> where(i = j, max: 64)", "1:20 S2C0103"},
		{"keyword as a name", "param head = 3\nlayer * -> dense", "1:7 S2C0103"},
		{"extra closing bracket", "layer * -> dense)", "1:17 S2C0104"},
		{"mismatched brackets", "layer * -> window(4]", "1:20 S2C0104"},
		{"garbage between declarations", "layer * -> dense\n@\nparam a = 1", "2:1 S2C0101"},
		{"stray word", "lyer 0 -> dense\nlayer * -> dense", "1:1 S2C0103"},
		{"bytes", "layer * -> window(4KB)", "1:19 S2C0101"},
		{"a part of a unit", "layer * -> window(1.5K)", "1:19 S2C0101"},
		{"a small unit", "layer * -> window(4k)", "1:19 S2C0101"},
		{"two units", "layer * -> window(4KK)", "1:19 S2C0101"},
		{"a unit apart", "layer * -> window(4 K)", "1:21 S2C0103"},
		{"overflow of a unit", "param a = 9007199254740992K\nlayer * -> dense", "1:11 S2C0106"},
		{"a name that is none of the parameters", "layer * -> window(n: 4)", "1:19 S2C0205"},
		{"a mark before a declaration", "layer * -> dense\n\uFEFFparam a = 1", "2:1 S2C0101"},
		{"a mark within a word", "layer * -> den\uFEFFse", "1:15 S2C0101"},
		{"two marks within a comment", "layer * -> dense // a \uFEFF b \uFEFF", "1:23 S2C0101 1:27 S2C0101"},
		{"a mark within a text", "import \"a\uFEFFb\"\nlayer * -> dense", "1:10 S2C0101"},
		{"a mark and another", "\uFEFF\uFEFFlayer * -> dense", "1:1 S2C0101"},
		{"number and name", "param a = 12abc\nlayer * -> dense", "1:11 S2C0101"},
		{"real number", "layer * -> window(1.5)", "1:19 S2C0301"},
		{"square root", "layer * -> window(sqrt(4))", "1:19 S2C0301"},
		{"a set as a parameter", "param w = window(4)\nlayer * -> dense", "1:11 S2C0301"},
		{"a condition as a number", "layer * -> window(1 < 2)", "1:19 S2C0301"},
		{"a set times a number", "layer * -> window(1) * 2", "1:12 S2C0301"},
		{"branches of two kinds", "layer * -> if h == 0 then dense else 4", "1:38 S2C0301"},
		{"not of a set", "layer * -> not dense", "1:12 S2C0301 1:16 S2C0301"},
		{"minus of a set", "layer * -> - dense", "1:12 S2C0301"},
		{"else first", "layer * -> for rows { else: dense; 0..: dense }", "1:23 S2C0103"},
		{"for columns", "layer * -> for columns { 0..: dense }", "1:16 S2C0103"},
		{"too few arguments", "layer * -> stride(phase: 3)", "1:12 S2C0205"},
		{"argument twice", "layer * -> window(4, left: 3)", "1:22 S2C0205"},
		{"unknown argument", "layer * -> stride(4, offset: 3)", "1:22 S2C0205"},
		{"bad side", "layer * -> dilated(4, side: left)", "1:29 S2C0205"},
		{"range for a window", "layer * -> window(1..2)", "1:19 S2C0301"},
		{"no columns", "layer * -> columns()", "1:12 S2C0205"},
		{"named columns", "layer * -> columns(a: 3)", "1:20 S2C0205"},
		{"function without arguments", "layer * -> window", "1:12 S2C0205"},
		{"pattern needs an argument", "pattern p(n) = window(n)\nlayer * -> p", "2:12 S2C0205"},
		{"default for h", "pattern p(h = 3) = window(1)\nlayer * -> p", "1:15 S2C0205"},
		{"g and kv", "pattern p(g, kv) = window(1)\nlayer * -> p", "1:14 S2C0202"},
		{"mutual recursion", "pattern p = q\npattern q = p | window(1)\nlayer * -> p", "2:13 S2C0206"},
		{"list with i", "layer * -> where([i, 1][0] == 1, max: 64)", "1:19 S2C0212"},
		{"h in a parameter", "param a = h\nlayer * -> dense", "1:11 S2C0211"},
		{"negative stride", "layer * -> stride(-3)", "1:19 S2C0304"},
		{"huge window", "layer * -> window(4294967296)", "1:19 S2C0304"},
		{"negative column", "layer * -> columns(-1)", "1:20 S2C0304"},
		{"overflow of a product", "param a = 4294967296 * 4294967296\nlayer * -> dense", "1:11 S2C0302"},
		{"overflow of a negation", "param a = -(-9223372036854775807 - 1)\nlayer * -> dense", "1:11 S2C0302"},
		{"overflow of a quotient", "param a = (-9223372036854775807 - 1) / -1\nlayer * -> dense", "1:12 S2C0302"},
		{"overflow of abs", "param a = abs(-9223372036854775807 - 1)\nlayer * -> dense", "1:11 S2C0302"},
		{"where divides by zero", "layer * -> where(8 mod (i - 3) == 0, max: 4096)", "1:25 S2C0303"},
		{"where indexes too far", "layer * -> where([1, 2, 3][j] == 0, max: 4096)", "1:28 S2C0305"},
		{"where overflows", "layer * -> where(i * 9223372036854775807 > 0, max: 4096)", "1:18 S2C0302"},
		{"where too long", "layer * -> where(true, max: 2147483648)", "1:29 S2C0307"},
		{"density beyond where", "layer * -> where(true, max: 4096)\nrequire density < 1 at 8192", "2:24 S2C0502"},
		{"every 0", "layer every 0 -> dense", "1:13 S2C0304"},
		{"layer beyond", "layer 4 -> dense\nlayer * -> dense", "1:7 S2C0453"},
		{"KV head beyond", "layer * -> kv_head 2: dense, dense", "1:20 S2C0452"},
		{"coverage with a bound", "layer * -> dense\nrequire coverage < 3", "2:9 S2C0502"},
		{"closed_form at a length", "layer * -> dense\nrequire closed_form at 3", "2:9 S2C0502"},
		{"length 0", "layer * -> dense\nrequire coverage at 0", "2:21 S2C0304"},
		{"layer rule cut short", "layer 0 ->\nlayer * -> dense", "1:11 S2C0103"},
		{"import of nothing", "import \"\"\nlayer * -> dense", "1:8 S2C0001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, list := Load("t.s2", Options{ReadFile: memory(map[string]string{"t.s2": c.text + "\n" + testModel})})
			if got := strings.Join(brief(list), " "); got != c.want || p != nil {
				t.Errorf("%s, want %s\n%s", got, c.want, diag.Text(list, false))
			}
			for _, d := range list {
				if d.Span.Src == nil || d.Message == "" {
					t.Errorf("%+v", d)
				}
			}
		})
	}
}

// TestHints checks what is said about the usual mistakes.
func TestHints(t *testing.T) {
	for text, want := range map[string]string{
		"layer * => dense":                           "an arrow is spelt ->",
		"layer *: dense":                             "layers are followed by ->",
		"layer * -> head 0 dense, dense":             "heads are followed by a colon",
		"layer all -> dense":                         "all layers or heads are `*`",
		"layer * -> window(1) || sink(1)":            "a single |",
		"layer * -> window(2 ** 3)":                  "no powers",
		"layer * -> where(i = j, max: 64)":           "==",
		"layer * -> where(i != 0 && j, max: 9)":      "joined with `and`",
		"layer * -> dense\nrequire kv-efficient":     "kv_efficient",
		"layer * -> dense\nrequire coverage on even": "on layer even",
		"layer * -> windw(1)":                        "did you mean `window`",
		"param a = 1 ; b = 2\nlayer * -> dense":      "",
		"param layer = 1\nlayer * -> dense":          "`layer` begins a declaration: it cannot be a name",
		"layer * -> dense | layer 0 -> dense":        "the declaration before it has to be complete",

		"layer * -> if heads == 4: dense":        "if c then a else b",
		"layer * -> if h == 0 then dense, dense": "if c then a else b",
		"layer * -> head 0-3: dense":             "a range is written 0..3",
		"layer * -> head 0-3 dense":              "a colon stands between the heads, or the rows, and their pattern",
		"layer * -> for rows { 0..3 dense }":     "a colon stands between the heads, or the rows, and their pattern",
		"layer 0-3 -> dense":                     "a range is written 0..3",
		"layer * -> columns(0-3)":                "a range is written 0..3",

		// Numbers with units.
		"layer * -> window(4KB)":  "write 4K",
		"layer * -> window(4kiB)": "write 4K",
		"layer * -> window(1.5K)": "K follows whole numbers alone: write 1536",
		"layer * -> window(1.3M)": "M follows whole numbers alone",
		"layer * -> window(4k)":   "a capital letter: write 4K",
		"layer * -> window(4 K)":  "without a space: 4K",
		"layer * -> window(2G)":   "K or M for 2^10 or 2^20",

		// Arguments by name.
		"layer * -> window(n: 4)":                                      "the parameters of `window` are left, right; without names",
		"layer * -> window(w=4)":                                       "name is followed by a colon, and the parameters of `window` are left, right",
		"layer * -> where(j = 4, max: 64)":                             "==",
		"layer * -> stride(4, phase -h)":                               "as the argument's name: phase: -h",
		"layer * -> stride(4, phase - 2 * h + 1)":                      "phase: - 2 * h + 1",
		"layer * -> stride(4, phase +h)":                               "phase: +h",
		"layer * -> dilated(4, phase -1, side: back)":                  "phase: -1",
		"pattern p(n, off) = window(n + off)\nlayer * -> p(1, off -h)": "off: -h",
		"layer * -> stride(4, phase h)":                                "name is followed by a colon: phase: …",
		"layer * -> stride(4, phase = h)":                              "name is followed by a colon: phase: …",
		"layer * -> dilated(4, 0, side back)":                          "name is followed by a colon: side: …",
		"layer * -> stride(4, phaze -h)":                               "there is block, dense",

		// What others call the sets.
		"layer * -> sliding_window(4)":                 "did you mean `window`, as in window(n), window(left, right)?",
		"layer * -> local(4) | dense":                  "did you mean `window`, as in",
		"layer * -> Strided(4)":                        "did you mean `stride`, as in stride(v, phase: p)?",
		"layer * -> attention_sink(1)":                 "did you mean `sink`, as in sink(n)?",
		"layer * -> full":                              "did you mean `dense`?",
		"layer * -> full_attention()":                  "did you mean `dense`?",
		"layer * -> none | window(1)":                  "did you mean `empty`?",
		"layer * -> causal":                            "write `causal` between its braces, and `dense`",
		"layer * -> window(4) & causal":                "write `causal` between its braces, and `dense`",
		"layer * -> globals(0)":                        "did you mean `global`, as in global(a, b..c)?",
		"pattern locals = window(2)\nlayer * -> local": "did you mean `locals`?",
		"param locals = 2\nlayer * -> window(local)":   "did you mean `locals`?",
		"layer * -> window(local)":                     "there is block, dense",
		"param from = 1\nlayer * -> dense":             "cannot be a name",
		"lyer 0 -> dense\nlayer * -> dense":            "did you mean `layer`?",
	} {
		_, list := loadText(testModel+text, nil)
		if len(list) == 0 || !strings.Contains(list[0].Hint, want) || want == "" && list[0].Hint != "" {
			t.Errorf("%s: want %q\n%s", text, want, diag.Text(list, false))
		}
	}
	_, list := loadText("model m { heads: 4 }", nil)
	if len(list) != 1 || !strings.Contains(list[0].Hint, "without a sign") {
		t.Error(diag.Text(list, false))
	}
}

// TestUnits reads numbers of K and M in all places that take a number.
func TestUnits(t *testing.T) {
	p, list := loadText("model m { heads 4  head_dim 64  causal  layers 1 }\nparam a = 4K, b = 2M - 1, c = [1K][0], d = 0K, e = 8796093022207M\n"+
		"layer * -> window(1K) | where(j == i, max: 128K) | columns(0..2K)\nrequire density <= 1K at 4K\n", map[string]string{"layers": "1"})
	if p == nil {
		t.Fatal(diag.Text(list, false))
	}
	want := map[string]string{"a": "4096", "b": "2097151", "c": "1024", "d": "0", "e": "9223372036853727232"}
	for _, q := range p.Params {
		if want[q.Name] != q.Value {
			t.Errorf("%s is %s, want %s", q.Name, q.Value, want[q.Name])
		}
	}
	if r := p.Requires[0]; r.Seq != 4096 || r.Bound != 1024 || r.Text != "density <= 1K at 4K" {
		t.Errorf("%+v", r)
	}
	if p, list := loadText(testModel+"param a = 1\nlayer * -> dense\n", map[string]string{"a": "2K"}); p == nil || p.Params[0].Value != "2048" {
		t.Error(diag.Text(list, false))
	}
}

// TestMark takes a byte order mark at the very start, which has no column.
func TestMark(t *testing.T) {
	for _, text := range []string{diag.Mark + testModel + "layer * -> dense\n", diag.Mark + "import \"lib.s2\"\n" + testModel + "layer * -> p\n"} {
		files := map[string]string{"t.s2": text, "lib.s2": diag.Mark + "pattern p = dense\n"}
		if p, list := Load("t.s2", Options{ReadFile: memory(files)}); p == nil || p.Text != text {
			t.Error(diag.Text(list, false))
		}
	}
	_, list := loadText(diag.Mark+"layer * -> dens\n"+testModel, nil)
	if want := "t.s2:1:12: error[S2C0201]"; !strings.HasPrefix(diag.Text(list, false), want) {
		t.Errorf("want %s\n%s", want, diag.Text(list, false))
	}
	if _, list := loadText(testModel+"param a = 1\nlayer * -> dense\n", map[string]string{"a": diag.Mark + "2"}); len(list) != 1 || list[0].Code != diag.BadCharacter {
		t.Error(diag.Text(list, false))
	}
	if got, want := mustFormat(t, diag.Mark+testModel), testModel; got != want {
		t.Errorf("%q", got)
	}
}

// TestNUL names the byte, since UTF-8 text may hold it.
func TestNUL(t *testing.T) {
	_, list := loadText(testModel+"\x00", nil)
	if len(list) != 1 || list[0].Code != diag.NotText || !strings.Contains(list[0].Message, "NUL byte") || strings.Contains(list[0].Message, "UTF-8") {
		t.Error(diag.Text(list, false))
	}
}

// TestModelErrors checks the model's fields.
func TestModelErrors(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{"heads 0 head_dim 64 causal", "S2C0404"}, {"heads 65536 head_dim 64 causal", "S2C0404"},
		{"heads -4 head_dim 64 causal", "S2C0404"}, {"heads 4 head_dim 264 causal", "S2C0404"},
		{"heads 4 head_dim 64 causal block 48", "S2C0404"}, {"heads 4 head_dim 64 causal layers 0", "S2C0404"},
		{"heads 4 head_dim 64 causal layers 5000", "S2C0404"}, {"heads 4 head_dim 64 causal dtype fp8", "S2C0404"},
		{"heads 4 head_dim 64 causal dtype 8", "S2C0404"}, {"heads 4 head_dim 64 causal scale 0", "S2C0404"},
		{"heads 4 head_dim 64 causal scale -1/8", "S2C0404"}, {"heads 4 head_dim 64 causal scale 1e-300", "S2C0404"},
		{"heads 4 head_dim 64 causal scale 1e-40", "S2C0404"}, {"heads 4 head_dim 64 causal scale 1e8", "S2C0404"},
		{"heads 4 head_dim 64 causal scale sqrt(-1)", "S2C0304"}, {"heads 4 head_dim 64 causal scale 1/0", "S2C0303"},
		{"heads 4 head_dim 64 causal scale 1..2", "S2C0301"}, {"heads 4..8 head_dim 64 causal", "S2C0301"},
		{"heads 4 heads 4 head_dim 64 causal", "S2C0202"}, {"heads 4 head_dim 64 causal bidirectional", "S2C0202"},
		{"heads heads head_dim 64 causal", "S2C0207"}, {"heads 4 causal", "S2C0402"},
		{"heads 4 head_dim 64 causal active_heads 2..4", "S2C0407"}, {"heads 4 head_dim 64 causal active_heads -1..2", "S2C0407"},
		{"heads 4 head_dim 64 causal active_heads 3..2", "S2C0306"}, {"heads 4 head_dim 64 causal scale true", "S2C0301"},
		{"heads 4 head_dim 64 causal window 3", "S2C0403"}, {"heads true head_dim 64 causal", "S2C0301"},
	} {
		p, list := loadText("model m { "+c.fields+" }\nlayer * -> dense\n", nil)
		if len(list) != 1 || string(list[0].Code) != c.want || p != nil {
			t.Errorf("%s: want %s\n%s", c.fields, c.want, diag.Text(list, false))
		}
	}
	_, list := loadText("model m { heads 4 head_dim 64 causal }\nlayer 5000 -> dense", nil)
	if len(list) != 1 || list[0].Code != diag.BadField {
		t.Error(diag.Text(list, false))
	}
}

func TestRendering(t *testing.T) {
	_, list := loadText(testModel+"param local = 4\nlayer *\t-> window(loca)\n", nil)
	want := "t.s2:3:20: error[S2C0201]: `loca` is not defined\n 3 | layer * -> window(loca)\n   |                   ^^^^\n  hint: did you mean `local`?\n"
	want = strings.Replace(want, "3:20", "3:19", 1)
	if d := cmp.Diff(want, diag.Text(list, false)); d != "" {
		t.Error(d)
	}
	if coloured := diag.Text(list, true); !strings.Contains(coloured, "\x1b[31;1merror[S2C0201]\x1b[0m") {
		t.Errorf("%q", coloured)
	}
	data, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	wantJSON := `[{"file":"t.s2","line":3,"col":19,"end_line":3,"end_col":23,"severity":"error","code":"S2C0201",` +
		`"message":"` + "`loca` is not defined" + `","hint":"did you mean ` + "`local`?" + `"}]`
	if d := cmp.Diff(wantJSON, string(data)); d != "" {
		t.Error(d)
	}
}

// TestHostileInput demands an error, in bounded time, of input made to hurt.
func TestHostileInput(t *testing.T) {
	many := func(s string, n int) string { return strings.Repeat(s, n) }
	chain := func(n int, f func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(f(i))
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"ten megabytes":         testModel + many("layer * -> dense\n", 10<<20/17),
		"one long line":         testModel + "param a = " + many("1+", 1<<18) + "1",
		"brackets":              many("(", 1<<20-1),
		"closed brackets":       testModel + "layer * -> " + many("(", 1<<18) + "dense" + many(")", 1<<18),
		"lists":                 "param a = " + many("[", 1<<19),
		"signs":                 testModel + "param a = " + many("-", 1<<19) + "1",
		"not":                   testModel + "layer * -> where(" + many("not ", 1<<17) + "true, max: 64)",
		"ifs":                   testModel + "param a = " + many("if true then 1 else ", 1<<15) + "1",
		"nested ifs":            testModel + "param a = " + many("if ", 1<<17),
		"rows in rows":          testModel + "layer * -> " + many("for rows { 0..: ", 1<<15),
		"unions":                testModel + "layer * -> dense" + many(" | window(3)", 50000),
		"errors":                testModel + many("param x = y\n", 20000),
		"syntax errors":         testModel + many("param =\n", 100000),
		"bad characters":        testModel + many("$ ", 1<<18),
		"many names":            testModel + "layer * -> " + many("x", 1<<19),
		"a long number":         testModel + "param a = " + many("9", 1<<19),
		"a long real":           testModel + "param a = 1." + many("9", 1<<19) + "e999999999",
		"comment openers":       many("/*", 1<<19),
		"quotes":                many("\"", 1<<19),
		"nul":                   testModel + "\x00",
		"invalid UTF-8":         testModel + "layer * -> \xff\xfe",
		"every byte":            chain(256, func(i int) string { return string([]byte{byte(i)}) }),
		"parameter chain":       testModel + chain(20000, func(i int) string { return fmt.Sprintf("param p%d = p%d + 1\n", i, i+1) }) + "param p20000 = 9223372036854775807\n",
		"parameter circle":      testModel + chain(20000, func(i int) string { return fmt.Sprintf("param p%d = p%d\n", i, (i+1)%20000) }),
		"pattern chain":         testModel + chain(15000, func(i int) string { return fmt.Sprintf("pattern p%d = p%d\n", i, i+1) }) + "pattern p15000 = windw(1)\nlayer * -> p0\n",
		"pattern circle":        testModel + chain(15000, func(i int) string { return fmt.Sprintf("pattern p%d = p%d\n", i, (i+1)%15000) }) + "layer * -> p0\n",
		"doubling":              testModel + "pattern p0 = window(1)\n" + chain(60, func(i int) string { return fmt.Sprintf("pattern p%d = p%d | p%d\n", i+1, i, i) }) + "layer * -> p60\n",
		"doubling by condition": testModel + "pattern p0 = empty\n" + chain(60, func(i int) string { return fmt.Sprintf("pattern p%d = p%d & p%d\n", i+1, i, i) }) + "layer * -> p60\n",
		"work":                  "model m { heads 65535 head_dim 64 causal layers 4096 }\n" + chain(4096, func(i int) string { return fmt.Sprintf("layer %d -> window(%d)\n", i, i+1) }),
		"rules":                 "model m { heads 4 head_dim 64 causal layers 4096 }\n" + many("layer * -> dense\n", 20000),
		"selectors":             "model m { heads 65535 head_dim 64 causal layers 4096 }\nlayer * -> head " + many("65534, ", 100000) + "0: dense, head 1..65533: window(1), dense\nlayer 5000 -> dense",
		"where everywhere":      "model m { heads 65535 head_dim 64 causal block 64 }\nlayer * -> where(8 mod (i * i - i * i + h + 1) == 0, max: 131072)\n",
		"long list":             testModel + "param a = [" + many("1, ", 300000) + "1]\nlayer * -> window(a[h + 300000])\n",
		"many rows":             testModel + "layer * -> for rows { " + many("0..: dense; ", 50000) + "}",
		"many blocks":           testModel + "layer * -> blocks { " + many("(1..0, 3),", 80000) + "}",
		"many arguments":        testModel + "layer * -> columns(" + many("3,", 200000) + "3)",
		"many defaults":         testModel + "pattern p(" + many("a = 1,", 100000) + "b = 2) = dense\nlayer * -> p\n",
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			p, list := loadText(text, nil)
			if p != nil || !list.HasErrors() || len(list) > diag.MaxErrors+1 {
				t.Errorf("program %v, %d diagnostics", p != nil, len(list))
			}
			if out := diag.Text(list, false); len(out) > 1<<17 {
				t.Errorf("%d bytes of errors", len(out))
			}
			if took := time.Since(start); took > 20*time.Second {
				t.Errorf("took %v", took)
			} else {
				t.Log(took)
			}
		})
	}
}

func TestDefines(t *testing.T) {
	text := "model m { heads 32  kv_heads 8  head_dim 128  dtype bf16  causal  layers 8 }\n" +
		"param local = 16, phases = [0, 1], wide = true\n" +
		"layer 0..5 -> head 0..31: (if wide then window(local) else empty) | stride(8, phase: phases[h mod len(phases)])\nlayer 6.. -> dense\n"
	p := mustLoad(t, text, map[string]string{
		"heads": "8", "kv_heads": "heads / 4", "dtype": "f16", "layers": "4", "local": "2 * 2", "phases": "[3, 5, 7]", "causal": "false",
		"scale": "1/128", "wide": "1 == 1",
	})
	if m := p.Model; m.Heads != 8 || m.KVHeads != 2 || m.DType != dtype.F16 || m.Layers != 4 || m.Causal || m.Scale != 1.0/128 {
		t.Errorf("%+v", m)
	}
	want := []Param{{"local", "4", true}, {"phases", "[3, 5, 7]", true}, {"wide", "true", true}}
	if d := cmp.Diff(want, p.Params); d != "" {
		t.Error(d)
	}
	if got := p.Head(0, 2); fmt.Sprint(got) != "{{-3 3} {8 7}}" {
		t.Error(got)
	}
	for define, code := range map[string]diag.Code{
		"local=": diag.Syntax, "local=1 2": diag.Syntax, "local=(": diag.Brackets, "local=x": diag.UndefinedName, "local=1..2": diag.TypeMismatch,
		"locl=3": diag.UnknownDefine, "local=0": diag.OutOfRange, "local=local": diag.Cycle, "dtype=fp8": diag.BadField, "causal=maybe": diag.BadField,
		"heads=5": diag.HeadsNotDivided, "local=\x00": diag.NotText, "local=99999999999999999999": diag.HugeNumber, "local=window(1)": diag.TypeMismatch,
	} {
		name, value, _ := strings.Cut(define, "=")
		_, list := loadText(text, map[string]string{name: value})
		if len(list) == 0 || list[0].Code != code || !strings.HasPrefix(list[0].Span.Pos().File, "-D ") && code != diag.HeadsNotDivided && code != diag.OutOfRange {
			t.Errorf("%q: want %s\n%s", define, code, diag.Text(list, false))
		}
	}
}

func TestImports(t *testing.T) {
	files := map[string]string{
		"main.s2":     "import \"lib/a.s2\"\nimport \"lib/b.s2\"\n" + testModel + "layer * -> both(3)\n",
		"lib/a.s2":    "import \"base.s2\"\npattern left(n) = window(n)\n",
		"lib/b.s2":    "import \"base.s2\"\npattern both(n) = left(n) | sink(first)\n",
		"lib/base.s2": "param first = 2\n",
	}
	p, list := Load("main.s2", Options{ReadFile: memory(files), Defines: map[string]string{"first": "5"}})
	if len(list) > 0 {
		t.Fatal(diag.Text(list, false))
	}
	if got := fmt.Sprint(p.Head(0, 0)); got != "{{0 2} {0 4}}" {
		t.Error(got)
	}
	files["lib/b.s2"] = "import \"../main.s2\"\nimport \"gone.s2\"\nparam first = 3\npattern both(n) = window(m)\n"
	_, list = Load("main.s2", Options{ReadFile: memory(files)})
	var got []string
	for _, d := range list {
		got = append(got, d.Span.Pos().String()+" "+string(d.Code))
	}
	want := []string{"lib/b.s2:1:8 S2C0208", "lib/b.s2:2:8 S2C0001", "lib/b.s2:3:7 S2C0202"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s\n%s", d, diag.Text(list, false))
	}
	if _, list := Load(t.TempDir(), Options{}); len(list) != 1 || list[0].Code != diag.CannotRead {
		t.Error(diag.Text(list, false))
	}
	self := map[string]string{"main.s2": "import \"main.s2\"\n" + testModel + "layer * -> dense\n"}
	if _, list := Load("main.s2", Options{ReadFile: memory(self)}); len(list) != 1 || list[0].Code != diag.ImportCycle {
		t.Error(diag.Text(list, false))
	}
}

// A name that is not known is compared with those that are, for as many errors as are
// shown: thousands of each are checked in a moment.
func TestManyUndefinedNames(t *testing.T) {
	for name, line := range map[string]string{
		"parameters": "param parameter%d = paramter%[1]d\n",
		"patterns":   "pattern pattern%d = patern%[1]d\n",
		"calls":      "pattern pattern%d = patern%[1]d(3)\n",
		"colons":     "pattern pattern%d = stride(3, phase - 2)\n",
	} {
		var b strings.Builder
		b.WriteString(testModel)
		for n := range 12000 {
			fmt.Fprintf(&b, line, n)
		}
		b.WriteString("layer * -> dense\n")
		start := time.Now()
		_, list := loadText(b.String(), nil)
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: %v", name, took)
		}
		if len(list) != diag.MaxErrors+1 || list[0].Hint == "" {
			t.Errorf("%s: %d errors, the first is %v", name, len(list), list[0])
		}
	}
}
