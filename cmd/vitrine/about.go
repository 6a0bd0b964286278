package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"vitrine.example/internal/centre"
)

// Set by the linker (-X main.version=…) where releases are built.
var version, revision string

// build is what `vitrine version` tells.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{version, revision, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if b.Version == "" {
		b.Version = "devel"
		if ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			b.Version = info.Main.Version
		}
	}
	if b.Revision == "" && ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				b.Revision = s.Value
			}
		}
	}
	return b
}

func newVersion(c *console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "show which build this is",
		Example: `  vitrine version --json`,
		Args:    operands(),
		RunE: func(*cobra.Command, []string) error {
			b := thisBuild()
			return c.result(b, func() {
				c.printf("vitrine %s %s %s %s\n", b.Version, b.Revision, b.Go, b.Platform)
			})
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
