package lsp

import (
	"net/url"
	"path/filepath"
	"strings"
)

// pathOf is the file that a URI names. A text that is in no file goes by its URI.
func pathOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "file" {
		return uri
	}
	path := u.Path
	if isDrive(path) {
		path = path[1:]
	}
	return filepath.Clean(filepath.FromSlash(path))
}

// uriOf is the URI of a file; one that came as a URI stays as it is.
func uriOf(path string) string {
	slashed := filepath.ToSlash(path)
	if !filepath.IsAbs(path) && !strings.HasPrefix(slashed, "/") {
		return path
	}
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // C:/…
	}
	return (&url.URL{Scheme: "file", Path: slashed}).String()
}

// isDrive reports whether a path is /C:/….
func isDrive(path string) bool {
	return len(path) > 3 && path[0] == '/' && path[2] == ':' && path[3] == '/'
}
