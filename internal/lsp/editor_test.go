package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	protocol "github.com/tliron/glsp/protocol_3_16"
)

// editor is the other end of a connection: it keeps the diagnostics that it is
// sent.
type editor struct {
	t    *testing.T
	rpc  *jrpc2.Client
	done chan error // what Serve returned

	mu        sync.Mutex
	published map[string]protocol.PublishDiagnosticsParams
	changed   chan struct{}
}

// connect starts a server, without initialize.
func connect(t *testing.T) *editor {
	t.Helper()
	return connectAs(t, channel.Header(""))
}

func connectAs(t *testing.T, framing channel.Framing) *editor {
	t.Helper()
	fromEditor, toServer := io.Pipe()
	fromServer, toEditor := io.Pipe()
	e := &editor{t: t, done: make(chan error, 1), published: map[string]protocol.PublishDiagnosticsParams{}, changed: make(chan struct{}, 1)}
	go func() { e.done <- Serve(fromEditor, toEditor, "test") }()
	e.rpc = jrpc2.NewClient(framing(fromServer, toServer), &jrpc2.ClientOptions{OnNotify: e.notified})
	t.Cleanup(func() { e.rpc.Close() })
	return e
}

// newEditor is a connection that serves.
func newEditor(t *testing.T) *editor {
	t.Helper()
	e := connect(t)
	var r protocol.InitializeResult
	e.ask("initialize", map[string]any{"capabilities": map[string]any{
		"textDocument": map[string]any{"completion": map[string]any{"completionItem": map[string]any{"snippetSupport": true}}},
	}}, &r)
	if r.ServerInfo == nil || r.ServerInfo.Name != "s2c" || *r.ServerInfo.Version != "test" {
		t.Fatalf("%+v", r)
	}
	e.tell("initialized", map[string]any{})
	return e
}

func (e *editor) notified(r *jrpc2.Request) {
	var p protocol.PublishDiagnosticsParams
	var codes struct{ Diagnostics []struct{ Code string } } // protocol.IntegerOrString does not read itself
	if err := errors.Join(r.UnmarshalParams(&p), r.UnmarshalParams(&codes)); err != nil {
		e.t.Errorf("%s: %v", r.Method(), err)
		return
	}
	for n := range p.Diagnostics {
		p.Diagnostics[n].Code = &protocol.IntegerOrString{Value: codes.Diagnostics[n].Code}
	}
	e.mu.Lock()
	e.published[p.URI] = p
	e.mu.Unlock()
	select {
	case e.changed <- struct{}{}:
	default:
	}
}

func (e *editor) ask(method string, params, result any) {
	e.t.Helper()
	if err := e.try(method, params, result); err != nil {
		e.t.Fatalf("%s: %v", method, err)
	}
}

func (e *editor) try(method string, params, result any) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if result == nil {
		_, err := e.rpc.Call(ctx, method, params)
		return err
	}
	return e.rpc.CallResult(ctx, method, params, result)
}

func (e *editor) tell(method string, params any) {
	e.t.Helper()
	if err := e.rpc.Notify(context.Background(), method, params); err != nil {
		e.t.Fatalf("%s: %v", method, err)
	}
}

func (e *editor) open(uri, text string) {
	e.t.Helper()
	e.tell("textDocument/didOpen", protocol.DidOpenTextDocumentParams{
		TextDocument: protocol.TextDocumentItem{URI: uri, LanguageID: "s2", Version: 1, Text: text},
	})
}

// replace makes a text another as a whole.
func (e *editor) replace(uri string, version int32, text string) {
	e.t.Helper()
	e.change(uri, version, protocol.TextDocumentContentChangeEventWhole{Text: text})
}

func (e *editor) change(uri string, version int32, changes ...any) {
	e.t.Helper()
	p := protocol.DidChangeTextDocumentParams{ContentChanges: changes}
	p.TextDocument.URI, p.TextDocument.Version = uri, version
	e.tell("textDocument/didChange", p)
}

// diagnostics waits until what is known of a version of a text arrives.
func (e *editor) diagnostics(uri string, version uint32) []protocol.Diagnostic {
	e.t.Helper()
	return e.until(uri, func(p protocol.PublishDiagnosticsParams) bool { return p.Version != nil && *p.Version == version })
}

func (e *editor) until(uri string, good func(protocol.PublishDiagnosticsParams) bool) []protocol.Diagnostic {
	e.t.Helper()
	timeout := time.After(time.Minute)
	for {
		e.mu.Lock()
		p, ok := e.published[uri]
		e.mu.Unlock()
		if ok && good(p) {
			return p.Diagnostics
		}
		select {
		case <-e.changed:
		case <-timeout:
			e.t.Fatalf("no such diagnostics of %s: %+v", uri, p)
		}
	}
}

// marked takes the bar out of a text and says where it was.
func marked(text string) (string, protocol.TextDocumentPositionParams) {
	at := strings.Index(text, "¦")
	text = strings.Replace(text, "¦", "", 1)
	return text, protocol.TextDocumentPositionParams{
		TextDocument: protocol.TextDocumentIdentifier{URI: main}, Position: newLines(text).position(at),
	}
}

const (
	main  = "file:///work/main.s2"
	model = "model m { heads 4 kv_heads 2 head_dim 64 causal layers 2 }\n"
)

func TestLifecycle(t *testing.T) {
	e := connect(t)
	wantCode := func(err error, code jrpc2.Code) {
		t.Helper()
		if got := (*jrpc2.Error)(nil); !errors.As(err, &got) || got.Code != code {
			t.Errorf("%v, want code %d", err, code)
		}
	}
	wantCode(e.try("textDocument/hover", struct{}{}, nil), notInitialized)
	e.ask("initialize", map[string]any{"capabilities": map[string]any{}, "processId": nil, "rootUri": nil}, nil)
	wantCode(e.try("initialize", map[string]any{}, nil), jrpc2.InvalidRequest)
	wantCode(e.try("textDocument/unknown", struct{}{}, nil), jrpc2.MethodNotFound)
	wantCode(e.try("textDocument/hover", protocol.HoverParams{}, nil), requestFailed)
	wantCode(e.try("textDocument/hover", []int{1}, nil), jrpc2.InvalidParams)
	e.tell("$/unknown", struct{}{})
	e.tell("textDocument/didChange", map[string]any{"contentChanges": 7})
	e.open(main, model)
	e.ask("shutdown", nil, nil)
	wantCode(e.try("textDocument/hover", struct{}{}, nil), jrpc2.InvalidRequest)
	e.tell("exit", nil)
	e.ends(nil)
}

// ends wants Serve to return although the editor keeps its end open.
func (e *editor) ends(want error) {
	e.t.Helper()
	select {
	case err := <-e.done:
		if !errors.Is(err, want) {
			e.t.Errorf("Serve returned %v, want %v", err, want)
		}
	case <-time.After(time.Minute):
		e.t.Fatal("Serve does not return")
	}
}

func TestExitWithoutShutdown(t *testing.T) {
	e := newEditor(t)
	e.tell("exit", nil)
	e.ends(ErrNoShutdown)
}

func TestEditorIsGone(t *testing.T) {
	e := newEditor(t)
	e.open(main, model)
	e.rpc.Close()
	e.ends(ErrNoShutdown)
}

// TestGarbage sends what is no message.
func TestGarbage(t *testing.T) {
	for _, text := range []string{"hello\r\n\r\n", "Content-Length: 5\r\n\r\n{]}[,", "Content-Length: x\r\n\r\n", "Content-Length: 99\r\n\r\n{}"} {
		done := make(chan error, 1)
		go func() { done <- Serve(strings.NewReader(text), discard{}, "test") }()
		select {
		case err := <-done:
			if err == nil {
				t.Errorf("%q is no error", text)
			}
		case <-time.After(time.Minute):
			t.Fatalf("%q hangs", text)
		}
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }

// TestContentTypes spells the content type in the ways that editors do.
func TestContentTypes(t *testing.T) {
	for _, spelling := range []string{"application/vscode-jsonrpc; charset=utf-8", "application/vscode-jsonrpc;charset=utf8"} {
		e := connectAs(t, channel.Header(spelling))
		e.ask("initialize", map[string]any{"capabilities": map[string]any{}}, nil)
		e.ask("shutdown", nil, nil)
		e.tell("exit", nil)
		e.ends(nil)
	}
}

func jsonText(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
