// Package deps has no code: its test holds which package may import which
// (docs/architecture.md).
package deps
