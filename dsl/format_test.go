package dsl

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/s2attention/s2c/diag"
)

func examples(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../examples/*.s2")
	if err != nil || len(files) < 10 {
		t.Fatalf("examples: %v %v", files, err)
	}
	return files
}

// parsed is a file's declarations without places.
func parsed(t testing.TB, text string) []string {
	t.Helper()
	var bag diag.Bag
	u := parse(diag.NewSource("t.s2", text), &bag)
	if bag.Failed() {
		t.Fatalf("%s\n%s", text, diag.Text(bag.List(), false))
	}
	return outline(u)
}

func mustFormat(t testing.TB, text string) string {
	t.Helper()
	out, list := Format("t.s2", []byte(text))
	if list.HasErrors() {
		t.Fatalf("%s\n%s", text, diag.Text(list, false))
	}
	return string(out)
}

// checkFormat demands that formatting keeps the meaning and every comment, and
// that it changes nothing the second time.
func checkFormat(t testing.TB, text string) {
	t.Helper()
	once := mustFormat(t, text)
	if d := cmp.Diff(parsed(t, text), parsed(t, once)); d != "" {
		t.Errorf("the meaning changed:\n%s\n%s", once, d)
	}
	if d := cmp.Diff(comments(text), comments(once)); d != "" {
		t.Errorf("the comments changed:\n%s", d)
	}
	if d := cmp.Diff(once, mustFormat(t, once)); d != "" {
		t.Errorf("not idempotent:\n%s", d)
	}
}

func comments(text string) []string {
	var bag diag.Bag
	tokens, _ := scan(diag.NewSource("t.s2", text), &bag)
	var out []string
	for _, t := range tokens {
		if t.Type == tokComment {
			out = append(out, comment(t.Value))
		}
	}
	return out
}

func TestFormatExamples(t *testing.T) {
	for _, file := range examples(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		checkFormat(t, string(text))
		if d := cmp.Diff(string(text), mustFormat(t, string(text))); d != "" {
			t.Errorf("%s is not formatted:\n%s", file, d)
		}
	}
}

func TestFormat(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"spaces",
			"model  m{heads 4 head_dim 64 causal}\nlayer *->window( 4 )|stride (4,phase :- (h+1))",
			"model m { heads 4  head_dim 64  causal }\nlayer * -> window(4) | stride(4, phase: -(h + 1))\n"},
		{"comments",
			"\n\n//a\nparam a=1//b  \n/* c\n   d */ param b=[1,2 , 3]   /*e*/\n\n\n\nparam c=b [ 0 ]\n// end",
			"//a\nparam a = 1  //b\n/* c\n   d */ param b = [1, 2, 3] /*e*/\n\nparam c = b[0]\n// end\n"},
		{"lines",
			"model m {\nheads 4\n   head_dim 64 // wide\n causal\n\n}\npattern p =\nwindow(1)\n| sink(1)\nlayer 0.. -> head 0 .. 3:p,\nhead *:for rows{\n0..3:dense;\nelse :p\n}\n",
			"model m {\n  heads 4\n  head_dim 64  // wide\n  causal\n}\npattern p =\n    window(1)\n    | sink(1)\nlayer 0.. -> head 0..3: p,\n    head *: for rows {\n      0..3: dense;\n      else: p\n    }\n"},
		{"declarations on one line",
			"param a = 1 param b = - -a require coverage on\nlayer even",
			"param a = 1\nparam b = --a\nrequire coverage on\n    layer even\n"},
		{"model values",
			"model m { heads 2*2 kv_heads heads/2 head_dim (32)*2, dtype f16 scale 1/sqrt(head_dim) active_heads 0..1 causal }",
			"model m { heads 2*2  kv_heads heads/2  head_dim (32)*2, dtype f16  scale 1/sqrt(head_dim)  active_heads 0..1  causal }\n"},
		{"carriage returns", "param a = 1\r\n/* x\r\n y */\r\nparam b = 2\r\n", "param a = 1\n/* x\n y */\nparam b = 2\n"},
		{"arrows",
			"layer 0 -> dense // x\nlayer 1..12->dense,\n head 0: p\nlayer odd -> dense\n\nlayer * -> dense",
			"layer 0     -> dense  // x\nlayer 1..12 -> dense,\n    head 0: p\nlayer odd -> dense\n\nlayer * -> dense\n"},
		{"units", "param a=4K,b = [ 1M ]\nlayer *->window( 0001K )", "param a = 4K, b = [1M]\nlayer * -> window(0001K)\n"},
		{"empty", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			if d := cmp.Diff(c.want, mustFormat(t, c.in)); d != "" {
				t.Error(d)
			}
			checkFormat(t, c.in)
		})
	}
}

func TestFormatRefusesSyntaxErrors(t *testing.T) {
	out, list := Format("t.s2", []byte("layer -> ->"))
	if out != nil || len(list) != 1 || list[0].Code != diag.Syntax {
		t.Errorf("%q\n%s", out, diag.Text(list, false))
	}
}
