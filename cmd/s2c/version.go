package main

import (
	"fmt"
	"runtime/debug"
)

// versionCmd prints what was built.
type versionCmd struct {
	JSON bool `help:"Print JSON."`
}

// buildVersion is the module's version, or the commit that it was built from.
func buildVersion() (version, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	version = info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				version += " " + s.Value[:min(len(s.Value), 12)]
			}
		}
	}
	return version, info.GoVersion
}

// versionLine is the version in a line.
func versionLine() string {
	version, goVersion := buildVersion()
	return fmt.Sprintf("s2c %s (%s)", version, goVersion)
}

// Run prints it.
func (c *versionCmd) Run(s *streams) error {
	version, goVersion := buildVersion()
	if c.JSON {
		return s.json(map[string]string{"version": version, "go": goVersion})
	}
	_, err := fmt.Fprintln(s.out, versionLine())
	return err
}
