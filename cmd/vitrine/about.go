package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"vitrine.example/internal/centre"
)

// build is what `vitrine version` tells.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// thisBuild tells of this build; the revision is known where Go put it in.
func thisBuild() build {
	b := build{Version: centre.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

// String is one line of at least name, version, toolchain and platform.
func (b build) String() string {
	words := []string{"vitrine", b.Version}
	if b.Revision != "" {
		words = append(words, b.Revision)
	}
	return strings.Join(append(words, b.Go, b.Platform), " ")
}

func newVersion(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "show which build this is",
		Example: `  vitrine version --json`,
		Args:    operands(),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			return c.result(b, func() { c.printf("%s\n", b) })
		},
	}
	c.jsonFlag(cmd)
	return cmd
}

func newConfig(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "config",
		Short:   "show every key of the configuration, explained",
		Long:    `Print vitrine.toml with every key, its meaning and its default.`,
		Example: `  vitrine config`,
		Args:    operands(),
		RunE: func(*cobra.Command, []string) error {
			c.printf("%s", centre.ConfigReference())
			return nil
		},
	}
}

// choices completes a flag that takes one of a few words.
func choices(cmd *cobra.Command, flag string, words ...string) {
	err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	if err != nil {
		panic(err) // there is no such flag
	}
}

// forShells takes the quotes out of what flags say, which mark the value's name
// in a help and are nothing but noise beside a completion.
func forShells(cmd *cobra.Command) {
	cmd.Flags().VisitAll(func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") })
	for _, sub := range cmd.Commands() {
		forShells(sub)
	}
}

func newCompletion(c *console) *cobra.Command {
	shells := map[string]func(*cobra.Command) error{
		"bash":       func(r *cobra.Command) error { return r.GenBashCompletionV2(c.out, true) },
		"zsh":        func(r *cobra.Command) error { return r.GenZshCompletion(c.out) },
		"fish":       func(r *cobra.Command) error { return r.GenFishCompletion(c.out, true) },
		"powershell": func(r *cobra.Command) error { return r.GenPowerShellCompletionWithDesc(c.out) },
	}
	return &cobra.Command{
		Use:       "completion SHELL",
		Short:     "print completions for bash, zsh, fish or powershell",
		Example:   `  vitrine completion bash`,
		Args:      operands("SHELL"),
		ValidArgs: []string{"bash", "zsh", "fish", "powershell"},
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := shells[args[0]]
			if !ok {
				return withHint(fmt.Errorf("no completions for the shell %q", args[0]), "choose bash, zsh, fish or powershell")
			}
			return write(cmd.Root())
		},
	}
}
