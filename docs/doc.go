// Package docs has no code: its tests hold the documents to the tree that they
// describe, and the README's pictures to what s2c show draws.
package docs
