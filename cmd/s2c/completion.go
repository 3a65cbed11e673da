package main

import (
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/s2attention/s2c/compiler"
	"github.com/s2attention/s2c/runtime"
)

// completionCmd prints a script that teaches a shell the command line. The script
// is made from the parser's own model, so it cannot lag behind.
type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help says how to install the script.
func (*completionCmd) Help() string {
	return `bash:  source <(s2c completion bash)
zsh:   source <(s2c completion zsh)
fish:  s2c completion fish | source`
}

// Run prints the script.
func (c *completionCmd) Run(k *kong.Kong, s *streams) error {
	commands := listCommands(k.Model.Node, nil)
	switch c.Shell {
	case "fish":
		return completeFish(s.out, commands)
	case "zsh":
		return completeZsh(s.out, commands)
	}
	return completeBash(s.out, commands)
}

// completed is a command as completion sees it.
type completed struct {
	path  string // "bundle inspect"
	help  string
	flags []completedFlag
	words []string // that its argument takes; nil for files
}

type completedFlag struct {
	long   string // with its dashes
	short  string // with its dash, or ""
	help   string
	value  bool     // a value follows
	values []string // the only ones, if there are few
	file   bool     // the value is a file's name
}

// offered are values of flags that no enum lists. Those with several values take
// them with commas between.
var offered = map[string]func() []string{
	"arch":   offeredArches,
	"device": func() []string { return append([]string{"auto"}, runtime.DeviceKinds()...) },
	"dump":   func() []string { return append(passNames(), "all") },
}

func offeredArches() []string {
	var names []string
	for _, t := range compiler.Targets {
		names = append(names, t.String())
	}
	return names
}

// listCommands flattens the tree of commands to its leaves.
func listCommands(n *kong.Node, above []string) []completed {
	var out []completed
	for _, child := range n.Children {
		path := append(append([]string{}, above...), child.Name)
		if len(child.Children) > 0 {
			out = append(out, listCommands(child, path)...)
			continue
		}
		c := completed{path: strings.Join(path, " "), help: child.Help}
		for _, group := range child.AllFlags(true) {
			for _, f := range group {
				c.flags = append(c.flags, completeFlag(f))
			}
		}
		for _, arg := range child.Positional {
			if arg.Enum != "" {
				c.words = append(c.words, arg.EnumSlice()...)
			}
		}
		out = append(out, c)
	}
	return out
}

func completeFlag(f *kong.Flag) completedFlag {
	flag := completedFlag{long: "--" + f.Name, help: f.Help, value: !f.IsBool()}
	if f.Short != 0 {
		flag.short = "-" + string(f.Short)
	}
	if f.Enum != "" {
		flag.values = f.EnumSlice()
	} else if values := offered[f.Name]; values != nil {
		flag.values = values()
	}
	if f.Name == "arch" && f.Target.Kind() == reflect.Slice {
		flag.values = append(flag.values, strings.Join(flag.values, ","))
	}
	flag.file = slices.Contains([]string{"FILE", "PATH"}, f.PlaceHolder)
	return flag
}

// spellings are a flag's names.
func (f completedFlag) spellings() []string {
	if f.short == "" {
		return []string{f.long}
	}
	return []string{f.long, f.short}
}

// firstWords are the commands' first words, each once.
func firstWords(commands []completed) []string {
	var words []string
	for _, c := range commands {
		first, _, _ := strings.Cut(c.path, " ")
		if len(words) == 0 || words[len(words)-1] != first {
			words = append(words, first)
		}
	}
	return words
}

// completeBash writes a function that looks at the words before the cursor.
func completeBash(w io.Writer, commands []completed) error {
	var b strings.Builder
	b.WriteString("# bash completion for s2c\n_s2c() {\n")
	b.WriteString("  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} words=\"\"\n")
	b.WriteString("  [[ $cur == = ]] && cur=\"\" || { [[ $prev == = ]] && prev=${COMP_WORDS[COMP_CWORD-2]}; }\n") // --flag=value is three words
	b.WriteString("  local path=\"${COMP_WORDS[1]}\"\n")
	for _, c := range commands {
		if first, _, nested := strings.Cut(c.path, " "); nested {
			fmt.Fprintf(&b, "  [[ $path == %s && $COMP_CWORD -gt 2 ]] && path=\"%s ${COMP_WORDS[2]}\"\n", first, first)
		}
	}
	fmt.Fprintf(&b, "  if [[ $COMP_CWORD -eq 1 ]]; then\n    words=%q\n  else\n    case \"$path\" in\n",
		strings.Join(firstWords(commands), " ")+" --help --version")
	for _, c := range commands {
		fmt.Fprintf(&b, "    %q)\n      case \"$prev\" in\n", c.path)
		var names []string
		for _, f := range c.flags {
			names = append(names, f.long)
			if f.values != nil {
				fmt.Fprintf(&b, "      %s) COMPREPLY=($(compgen -W %q -- \"$cur\")); return ;;\n",
					strings.Join(f.spellings(), "|"), strings.Join(f.values, " "))
			} else if f.file {
				fmt.Fprintf(&b, "      %s) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n",
					strings.Join(f.spellings(), "|"))
			} else if f.value {
				fmt.Fprintf(&b, "      %s) return ;;\n", strings.Join(f.spellings(), "|"))
			}
		}
		fmt.Fprintf(&b, "      esac\n      words=%q ;;\n", strings.Join(append(names, c.words...), " "))
	}
	for _, c := range commands {
		if first, second, nested := strings.Cut(c.path, " "); nested {
			fmt.Fprintf(&b, "    %q) words=%q ;;\n", first, second)
		}
	}
	b.WriteString("    esac\n  fi\n")
	b.WriteString("  COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n")
	b.WriteString("  [[ $COMP_CWORD -gt 1 && $cur != -* ]] && COMPREPLY+=($(compgen -f -- \"$cur\"))\n}\n")
	b.WriteString("complete -o filenames -F _s2c s2c\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// completeZsh writes descriptions for zsh's _arguments.
func completeZsh(w io.Writer, commands []completed) error {
	var b strings.Builder
	b.WriteString("#compdef s2c\n_s2c() {\n  local cmd=\"${words[2]}\"\n  if (( CURRENT == 2 )); then\n")
	fmt.Fprintf(&b, "    compadd -- %s\n    return\n  fi\n", strings.Join(firstWords(commands), " "))
	for _, c := range commands {
		if first, second, nested := strings.Cut(c.path, " "); nested {
			fmt.Fprintf(&b, "  if [[ $cmd == %s ]]; then\n    if (( CURRENT == 3 )); then compadd -- %s; return; fi\n"+
				"    cmd=\"$cmd ${words[3]}\"; shift words; (( CURRENT-- ))\n  fi\n", first, second)
		}
	}
	b.WriteString("  shift words; (( CURRENT-- ))\n  case \"$cmd\" in\n")
	for _, c := range commands {
		fmt.Fprintf(&b, "  %q) _arguments", c.path)
		for _, f := range c.flags {
			action := ""
			if f.values != nil {
				action = ":value:(" + strings.Join(f.values, " ") + ")"
			} else if f.file {
				action = ":value:_files"
			} else if f.value {
				action = ":value: "
			}
			for _, name := range f.spellings() {
				fmt.Fprintf(&b, " \\\n    %s", zshQuote("*"+name+"["+zshText(f.help)+"]"+action))
			}
		}
		if c.words != nil {
			fmt.Fprintf(&b, " \\\n    %s ;;\n", zshQuote("1:argument:("+strings.Join(c.words, " ")+")"))
		} else {
			fmt.Fprintf(&b, " \\\n    %s ;;\n", zshQuote("*:file:_files"))
		}
	}
	b.WriteString("  esac\n}\ncompdef _s2c s2c\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// zshText keeps a description clear of _arguments' own punctuation.
func zshText(s string) string { return strings.NewReplacer("[", "(", "]", ")", ":", " ").Replace(s) }

func zshQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// completeFish writes one line for each thing that can be completed.
func completeFish(w io.Writer, commands []completed) error {
	var b strings.Builder
	b.WriteString("# fish completion for s2c\n")
	for _, first := range firstWords(commands) {
		help := first + " commands"
		for _, c := range commands {
			if c.path == first {
				help = c.help
			}
		}
		fmt.Fprintf(&b, "complete -c s2c -f -n __fish_use_subcommand -a %s -d %s\n", first, fishQuote(help))
	}
	for _, c := range commands {
		seen := "__fish_seen_subcommand_from " + strings.ReplaceAll(c.path, " ", "; and __fish_seen_subcommand_from ")
		if first, second, nested := strings.Cut(c.path, " "); nested {
			fmt.Fprintf(&b, "complete -c s2c -f -n '__fish_seen_subcommand_from %s' -a %s -d %s\n", first, second, fishQuote(c.help))
		}
		if c.words != nil {
			fmt.Fprintf(&b, "complete -c s2c -f -n '%s' -a %s\n", seen, fishQuote(strings.Join(c.words, " ")))
		} else {
			fmt.Fprintf(&b, "complete -c s2c -F -n '%s'\n", seen)
		}
		for _, f := range c.flags {
			fmt.Fprintf(&b, "complete -c s2c -n '%s' -l %s", seen, strings.TrimPrefix(f.long, "--"))
			if f.short != "" {
				fmt.Fprintf(&b, " -s %s", strings.TrimPrefix(f.short, "-"))
			}
			if f.values != nil {
				fmt.Fprintf(&b, " -x -a %s", fishQuote(strings.Join(f.values, " ")))
			} else if f.file {
				b.WriteString(" -r")
			} else if f.value {
				b.WriteString(" -x")
			}
			fmt.Fprintf(&b, " -d %s\n", fishQuote(f.help))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
