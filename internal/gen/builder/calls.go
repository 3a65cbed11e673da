package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

const ptxPath = "github.com/s2attention/s2c/codegen/ptx"

// calls lists the names of methods that files may call on a builder: those that
// import package ptx, and its own.
func calls(root string) (map[string]bool, error) {
	used := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || strings.HasPrefix(d.Name(), ".") && d.Name() != ".." && d.Name() != "."):
			return filepath.SkipDir
		case !strings.HasSuffix(file, ".go") || d.Name() == "zbuilder.go":
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		selected(f, used)
		return nil
	})
	return used, err
}

// selected adds what a file selects of values.
func selected(f *ast.File, used map[string]bool) {
	builds := f.Name.Name == "ptx"
	imports := map[string]bool{}
	for _, i := range f.Imports {
		at, _ := strconv.Unquote(i.Path.Value)
		imports[path.Base(at)] = true
		builds = builds || at == ptxPath
	}
	if !builds {
		return
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := s.X.(*ast.Ident); !ok || !imports[of.Name] {
				used[s.Sel.Name] = true
			}
		}
		return true
	})
}
