package lsp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creachadair/jrpc2"
	protocol "github.com/tliron/glsp/protocol_3_16"

	"github.com/s2attention/s2c/dsl"
)

// TestImports works on a program of three files, one of which is open, one on
// disk alone.
func TestImports(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b") // a space is written %20
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return uriOf(filepath.Join(dir, name))
	}
	deep := write("deep.s2", "param width = 4\n")
	lib := write("lib.s2", "import \"deep.s2\"\n// near\npattern near(n) = window(n)\n")
	const text = "import \"lib.s2\"\n" + model + "layer * -> near(width)\n"
	root := uriOf(filepath.Join(dir, "root.s2"))
	if pathOf(root) != filepath.Join(dir, "root.s2") || !strings.Contains(root, "%20") {
		t.Fatal(root)
	}
	e := newEditor(t)
	e.open(root, text)
	wantSame(t, []string{}, codes(e.diagnostics(root, 1)))

	at := func(line, col uint32) protocol.TextDocumentPositionParams {
		return protocol.TextDocumentPositionParams{TextDocument: protocol.TextDocumentIdentifier{URI: root}, Position: protocol.Position{Line: line, Character: col}}
	}
	definition := func(line, col uint32) string {
		var list []protocol.Location
		e.ask("textDocument/definition", protocol.DefinitionParams{TextDocumentPositionParams: at(line, col)}, &list)
		if len(list) != 1 {
			t.Fatalf("%v", list)
		}
		return list[0].URI + rangeText(list[0].Range)
	}
	wantSame(t, lib+"[2,8,2,12]", definition(2, 12))
	wantSame(t, deep+"[0,6,0,11]", definition(2, 17))
	wantSame(t, lib+"[0,0,0,0]", definition(0, 10))
	var edit protocol.WorkspaceEdit
	e.ask("textDocument/rename", protocol.RenameParams{TextDocumentPositionParams: at(2, 17), NewName: "w"}, &edit)
	if len(edit.Changes[deep]) != 1 || len(edit.Changes[root]) != 1 {
		t.Errorf("%v", edit)
	}

	// An open text counts before the file, and an error in it is shown there.
	e.open(lib, "import \"deep.s2\"\npattern near(n) = window(n) | missing\n")
	e.until(lib, func(p protocol.PublishDiagnosticsParams) bool {
		c := codes(p.Diagnostics)
		return len(c) == 2 && c[0] == "[0,0,0,0] information S2C0401" && c[1] == "[1,30,1,37] error S2C0201"
	})
	e.replace(lib, 2, "import \"deep.s2\"\npattern near(n) = window(n)\n")
	e.until(lib, func(p protocol.PublishDiagnosticsParams) bool { return len(p.Diagnostics) == 1 })

	// A library has sizes where an open text uses it.
	var h *protocol.Hover
	e.ask("textDocument/hover", protocol.HoverParams{TextDocumentPositionParams: protocol.TextDocumentPositionParams{
		TextDocument: protocol.TextDocumentIdentifier{URI: lib}, Position: protocol.Position{Line: 1, Character: 20},
	}}, &h)
	if !strings.Contains(h.Contents.(protocol.MarkupContent).Value, "The 4 nearest key blocks") {
		t.Errorf("%v", h)
	}

	// Closed, the file on disk counts again.
	e.replace(lib, 3, "import \"deep.s2\"\n")
	e.until(root, func(p protocol.PublishDiagnosticsParams) bool { return len(p.Diagnostics) == 1 })
	e.tell("textDocument/didClose", protocol.DidCloseTextDocumentParams{TextDocument: protocol.TextDocumentIdentifier{URI: lib}})
	e.until(root, func(p protocol.PublishDiagnosticsParams) bool { return len(p.Diagnostics) == 0 })
	e.until(lib, func(p protocol.PublishDiagnosticsParams) bool { return len(p.Diagnostics) == 0 })

	// So does a change on disk that the editor reports.
	write("deep.s2", "param narrow = 4\n")
	e.tell("workspace/didChangeWatchedFiles", map[string]any{"changes": []any{}})
	e.until(root, func(p protocol.PublishDiagnosticsParams) bool { return len(p.Diagnostics) == 1 })
}

// slow is a text that takes seconds to check, with a pattern of its own each
// time, so that nothing is found in a memory of earlier ones.
func slow(n int) string {
	return "model m { heads 256 head_dim 64 causal }\n" +
		fmt.Sprintf("layer * -> window(1) | where((i * 7 + j * %d + h) mod 97 < 5, max: 65536)\n", n)
}

// TestTyping changes a slow text faster than it can be checked: what is old is
// not finished, the last state is reported.
func TestTyping(t *testing.T) {
	e := newEditor(t)
	e.open(main, slow(1))
	for n := range int32(3) {
		time.Sleep(2 * delay) // its check has begun
		e.replace(main, n+2, slow(int(n)))
	}
	e.replace(main, 99, model+"layer * -> windw(1)\n")
	start := time.Now()
	wantSame(t, []string{"[1,11,1,16] error S2C0204"}, codes(e.diagnostics(main, 99)))
	if d := time.Since(start); d > timeLimit/2 {
		t.Errorf("the last state was reported after %v", d)
	}
}

// TestDebounce publishes once for a burst of changes.
func TestDebounce(t *testing.T) {
	var published []int32
	j := newJobs(newFiles(), nil)
	j.publish = func(a *analysis) { published = append(published, a.file.version) } // under the jobs' lock
	for n := range int32(10) {
		f := newFile(main, "/work/main.s2", n, model)
		j.files.put(f)
		j.start(f)
	}
	// The delay is over by itself.
	last := j.last[main]
	<-last.done
	if len(published) != 1 || published[0] != 9 || last.result == nil {
		t.Errorf("%v", published)
	}
}

// TestCancel cancels a hover that waits for a slow text.
func TestCancel(t *testing.T) {
	e := newEditor(t)
	e.open(main, slow(3))
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		_, err := e.rpc.Call(ctx, "textDocument/hover", protocol.HoverParams{TextDocumentPositionParams: protocol.TextDocumentPositionParams{
			TextDocument: protocol.TextDocumentIdentifier{URI: main}, Position: protocol.Position{Line: 1, Character: 13},
		}})
		done <- err
	}()
	time.Sleep(50 * time.Millisecond)
	e.tell("$/cancelRequest", map[string]any{"id": 2})
	select {
	case err := <-done:
		if got := (*jrpc2.Error)(nil); !errors.As(err, &got) || got.Code != requestCancelled {
			t.Errorf("%v", err)
		}
	case <-time.After(answerLimit - time.Second):
		t.Error("no answer")
	}
	cancel()
	// Others are answered meanwhile.
	start := time.Now()
	e.ask("textDocument/documentSymbol", protocol.DocumentSymbolParams{TextDocument: protocol.TextDocumentIdentifier{URI: main}}, nil)
	if d := time.Since(start); d > answerLimit {
		t.Errorf("%v", d)
	}
}

// TestTimeLimit ends the check of a text that takes too long, and says so.
func TestTimeLimit(t *testing.T) {
	got := make(chan *analysis, 1)
	j := newJobs(newFiles(), func(a *analysis) { got <- a })
	j.limit = 50 * time.Millisecond
	f := newFile(main, "/work/main.s2", 1, slow(5))
	j.files.put(f)
	j.start(f)
	select {
	case a := <-got:
		list := a.diagnostics()[main]
		if !a.late || a.unit != nil || len(list) != 1 || *list[0].Severity != protocol.DiagnosticSeverityInformation {
			t.Errorf("%+v", list)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("no end")
	}
}

// TestHostile asks everything of texts made to be slow.
func TestHostile(t *testing.T) {
	fill := func(head, part string, size int) string { return head + strings.Repeat(part, size/len(part)) }
	const size = 1 << 16
	for _, text := range []string{
		fill("layer * -> ", "(", size), fill("param ", "a=a,", size), fill("pattern p(", "a,", size), fill("", "é\U0001f600", size),
		fill(model+"param a = 1\nlayer * -> window(", "a+", size), fill(model, "require coverage\n", size), fill(model, "layer * -> dense\n", size),
		fill("", "import \"x.s2\"\n", size), fill("", "\x00", size), fill("", "\n", size), fill("//", "\r", size), fill("model {", "heads ", size),
		strings.Repeat("x", dsl.MaxFileSize+1), slow(7),
	} {
		s := newFiles()
		f := newFile(main, "/work/main.s2", 1, text)
		s.put(f)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		start := time.Now()
		a := analyse(ctx, s, f)
		a.diagnostics()
		askAll(ctx, s, f, a, len(text)/2)
		askAll(ctx, s, f, a, len(text))
		cancel()
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%.30q… took %v", text, d)
		}
	}
}

// askAll asks everything of one place.
func askAll(ctx context.Context, s *files, f *file, a *analysis, offset int) {
	s.hover(ctx, f, a, offset)
	s.complete(f, offset, true)
	s.signature(f, offset)
	s.definition(f, offset)
	s.references(f, offset, true)
	s.highlights(f, offset)
	_, _ = s.renamable(f, offset)
	_, _ = s.rename(f, offset, "other")
	symbols(f)
	after, _ := dsl.Format(f.path, []byte(f.src.Text))
	difference(f, string(after))
	a.fixes(f.uri, f.lines().rangeOf(0, len(f.src.Text)))
}

// FuzzEditor asks everything of any text at any place, with all of it and with
// what stands in front of the place alone, as while it is typed. Ranges lie in
// the text.
func FuzzEditor(f *testing.F) {
	for _, text := range []string{namesFile, model, "x model m { heads", "( model { heads", "import \"/work/main.s2\"", "\U0001f600\r\n\r\xff"} {
		for at := 0; at < len(text); at += 9 {
			f.Add(text, uint16(at))
		}
	}
	f.Fuzz(func(t *testing.T, text string, at uint16) {
		text = strings.ToValidUTF8(text, "?") // as JSON has it
		offset := min(int(at), len(text))
		for _, now := range []string{text, text[:newLines(text).offset(newLines(text).position(offset))]} {
			s := newFiles()
			file := newFile(main, "/work/main.s2", 1, now)
			s.put(file)
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			a := analyse(ctx, s, file)
			for uri, list := range a.diagnostics() {
				for _, d := range list {
					if uri != main || comparePositions(d.Range.End, file.lines().position(len(now))) > 0 {
						t.Errorf("%q: %s %+v", now, uri, d)
					}
				}
			}
			askAll(ctx, s, file, a, min(offset, len(now)))
			cancel()
		}
	})
}
