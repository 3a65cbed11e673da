// Package lsp is a language server for .s2 files: it speaks the Language Server
// Protocol 3.16 to an editor, and answers from the compiler itself.
package lsp

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/creachadair/jrpc2"
	"github.com/creachadair/jrpc2/channel"
	"github.com/creachadair/jrpc2/handler"
	protocol "github.com/tliron/glsp/protocol_3_16"
)

// Codes of errors that the protocol adds to JSON-RPC's.
const (
	notInitialized   jrpc2.Code = -32002
	requestCancelled jrpc2.Code = -32800
	requestFailed    jrpc2.Code = -32803
)

// answerLimit is how long one request may take, the wait for an analysis
// included.
const answerLimit = 5 * time.Second

// parallel is how many requests are worked on at once; those that wait for an
// analysis must not keep others, or their own cancellation, from running.
const parallel = 64

// ErrNoShutdown says that the editor went away without saying so.
var ErrNoShutdown = errors.New("the editor ended the connection without a shutdown request")

// server is one connection to an editor.
type server struct {
	version  string
	files    *files
	jobs     *jobs
	reports  *reports
	rpc      *jrpc2.Server
	snippets atomic.Bool // the editor fills in parameters
	state    atomic.Int32
	exited   chan struct{} // closed by exit
}

// States of a connection.
const (
	waiting int32 = iota // for initialize
	serving
	closing // after shutdown
)

// Serve answers an editor until it says exit or ends the connection, which is
// an error unless shutdown came before.
func Serve(in io.Reader, out io.WriteCloser, version string) error {
	s := &server{version: version, files: newFiles(), exited: make(chan struct{})}
	s.reports = newReports(func(p protocol.PublishDiagnosticsParams) {
		// An editor that is gone is no news: the connection ends by itself.
		_ = s.rpc.Notify(context.Background(), protocol.ServerTextDocumentPublishDiagnostics, p)
	})
	s.jobs = newJobs(s.files, s.report)
	s.rpc = jrpc2.NewServer(s.methods(), &jrpc2.ServerOptions{
		AllowPush: true, DisableBuiltin: true, Concurrency: max(parallel, runtime.NumCPU()),
	})
	s.rpc.Start(lenient{channel.Header("")(in, out)})
	ended := make(chan error, 1)
	go func() { ended <- s.rpc.Wait() }()
	var err error
	select {
	case err = <-ended:
	case <-s.exited: // the editor may keep its end open, and the reader waiting
	}
	s.jobs.close()
	switch {
	case s.state.Load() == closing:
		return nil
	case err == nil:
		return ErrNoShutdown
	}
	return err
}

// lenient takes messages of every content type: the protocol knows one only,
// and editors spell it in several ways.
type lenient struct{ channel.Channel }

func (l lenient) Recv() ([]byte, error) {
	message, err := l.Channel.Recv()
	if wrong := (*channel.ContentTypeMismatchError)(nil); errors.As(err, &wrong) {
		err = nil
	}
	return message, err
}

// methods is everything that an editor may ask or tell.
func (s *server) methods() handler.Map {
	return handler.Map{
		"initialize":      s.initialize(),
		"initialized":     notification(s, func(struct{}) {}),
		"shutdown":        request(s, func(context.Context, struct{}) (any, error) { s.state.Store(closing); return nil, nil }),
		"exit":            s.exit(),
		"$/cancelRequest": s.cancel(),
		"$/setTrace":      notification(s, func(struct{}) {}),

		protocol.MethodTextDocumentDidOpen:            notification(s, s.didOpen),
		protocol.MethodTextDocumentDidChange:          notification(s, s.didChange),
		protocol.MethodTextDocumentDidClose:           notification(s, s.didClose),
		protocol.MethodTextDocumentDidSave:            notification(s, func(struct{}) {}),
		protocol.MethodWorkspaceDidChangeWatchedFiles: notification(s, func(struct{}) { s.again(nil) }),
		"workspace/didChangeConfiguration":            notification(s, func(struct{}) {}),

		protocol.MethodTextDocumentHover:             request(s, s.hover),
		protocol.MethodTextDocumentCompletion:        request(s, s.completion),
		protocol.MethodTextDocumentSignatureHelp:     request(s, s.signatureHelp),
		protocol.MethodTextDocumentDefinition:        request(s, s.definition),
		protocol.MethodTextDocumentReferences:        request(s, s.references),
		protocol.MethodTextDocumentDocumentHighlight: request(s, s.highlight),
		protocol.MethodTextDocumentPrepareRename:     request(s, s.prepareRename),
		protocol.MethodTextDocumentRename:            request(s, s.rename),
		protocol.MethodTextDocumentDocumentSymbol:    request(s, s.documentSymbol),
		protocol.MethodTextDocumentFormatting:        request(s, s.formatting),
		protocol.MethodTextDocumentCodeAction:        request(s, s.codeAction),
	}
}

// request answers what an editor asks, within answerLimit.
func request[P, R any](s *server, answer func(context.Context, P) (R, error)) jrpc2.Handler {
	return func(ctx context.Context, r *jrpc2.Request) (any, error) {
		switch s.state.Load() {
		case waiting:
			return nil, jrpc2.Errorf(notInitialized, "%s before initialize", r.Method())
		case closing:
			return nil, jrpc2.Errorf(jrpc2.InvalidRequest, "%s after shutdown", r.Method())
		}
		var p P
		if err := r.UnmarshalParams(&p); err != nil {
			return nil, jrpc2.Errorf(jrpc2.InvalidParams, "%s: %v", r.Method(), err)
		}
		limited, cancel := context.WithTimeout(ctx, answerLimit)
		defer cancel()
		result, err := answer(limited, p)
		switch {
		case ctx.Err() != nil:
			return nil, jrpc2.Errorf(requestCancelled, "%s was cancelled", r.Method())
		case err != nil:
			return nil, jrpc2.Errorf(requestFailed, "%v", err)
		}
		return result, nil
	}
}

// notification takes what an editor tells; one that cannot be read is left out.
func notification[P any](s *server, take func(P)) jrpc2.Handler {
	return func(_ context.Context, r *jrpc2.Request) (any, error) {
		var p P
		if err := r.UnmarshalParams(&p); err == nil && s.state.Load() == serving {
			take(p)
		}
		return nil, nil
	}
}

// clientParams is what matters of an editor's initialize.
type clientParams struct {
	Capabilities struct {
		TextDocument struct {
			Completion struct {
				CompletionItem struct {
					SnippetSupport bool `json:"snippetSupport"`
				} `json:"completionItem"`
			} `json:"completion"`
		} `json:"textDocument"`
	} `json:"capabilities"`
}

func (s *server) initialize() jrpc2.Handler {
	return func(_ context.Context, r *jrpc2.Request) (any, error) {
		if !s.state.CompareAndSwap(waiting, serving) {
			return nil, jrpc2.Errorf(jrpc2.InvalidRequest, "initialize comes once")
		}
		var p clientParams
		if err := r.UnmarshalParams(&p); err != nil {
			return nil, jrpc2.Errorf(jrpc2.InvalidParams, "initialize: %v", err)
		}
		s.snippets.Store(p.Capabilities.TextDocument.Completion.CompletionItem.SnippetSupport)
		return protocol.InitializeResult{
			Capabilities: capabilities(),
			ServerInfo:   &protocol.InitializeResultServerInfo{Name: "s2c", Version: &s.version},
		}, nil
	}
}

func capabilities() protocol.ServerCapabilities {
	return protocol.ServerCapabilities{
		TextDocumentSync: protocol.TextDocumentSyncOptions{
			OpenClose: new(true), Change: new(protocol.TextDocumentSyncKindIncremental),
		},
		CompletionProvider:         &protocol.CompletionOptions{TriggerCharacters: []string{"(", ">", "|", "&"}},
		SignatureHelpProvider:      &protocol.SignatureHelpOptions{TriggerCharacters: []string{"(", ","}},
		CodeActionProvider:         protocol.CodeActionOptions{CodeActionKinds: []protocol.CodeActionKind{protocol.CodeActionKindQuickFix}},
		RenameProvider:             protocol.RenameOptions{PrepareProvider: new(true)},
		HoverProvider:              true,
		DefinitionProvider:         true,
		ReferencesProvider:         true,
		DocumentHighlightProvider:  true,
		DocumentSymbolProvider:     true,
		DocumentFormattingProvider: true,
	}
}

// exit ends the connection; the answer to what is in progress is not waited for.
func (s *server) exit() jrpc2.Handler {
	leave := sync.OnceFunc(func() { close(s.exited) })
	return func(context.Context, *jrpc2.Request) (any, error) {
		leave()
		return nil, nil
	}
}

// cancel ends a request: what it waits for, and what it computes.
func (s *server) cancel() jrpc2.Handler {
	return func(_ context.Context, r *jrpc2.Request) (any, error) {
		var p struct {
			ID json.RawMessage `json:"id"`
		}
		if err := r.UnmarshalParams(&p); err == nil {
			s.rpc.CancelRequest(string(p.ID))
		}
		return nil, nil
	}
}
