// Package bench holds the scripts that measure s2c beside its peers on a GPU;
// README.md says how they are used. The Go part only tests them.
package bench
