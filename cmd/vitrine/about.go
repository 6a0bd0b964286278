package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

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

func newMan(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "write the manual pages into a directory",
		Example: `  vitrine man man1`,
		Args:    operands("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fmt.Errorf("writing manual pages: %w", err)
			}
			return c.writeManual(cmd.Root(), args[0])
		},
	}
}

func (c *console) writeManual(cmd *cobra.Command, dir string) error {
	if cmd.Hidden {
		return nil
	}
	page, err := manual(cmd)
	if err != nil {
		return err
	}
	name := strings.ReplaceAll(cmd.CommandPath(), " ", "-") + ".1"
	if err := writeFile(filepath.Join(dir, name), page, true); err != nil {
		return err
	}
	c.printf("%s\n", filepath.Join(dir, name))
	for _, sub := range cmd.Commands() {
		if err := c.writeManual(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// manual returns the page of one command. It bears no date, so that the same
// source gives the same page.
func manual(cmd *cobra.Command) ([]byte, error) {
	epoch := time.Unix(0, 0).UTC()
	h := &doc.GenManHeader{
		Title:   strings.ToUpper(strings.ReplaceAll(cmd.CommandPath(), " ", "-")),
		Section: "1",
		Date:    &epoch,
		Source:  "vitrine",
		Manual:  "vitrine manual",
	}
	cmd.DisableAutoGenTag = true
	var b bytes.Buffer
	if err := doc.GenMan(cmd, h, &b); err != nil {
		return nil, fmt.Errorf("writing the manual page of %s: %w", cmd.CommandPath(), err)
	}
	return bytes.Replace(b.Bytes(), []byte(`"Jan 1970"`), []byte(`""`), 1), nil
}
