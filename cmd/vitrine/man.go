package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func newMan(c *console) *cobra.Command {
	return &cobra.Command{
		Use:     "man DIR",
		Short:   "write the manual pages into a directory",
		Hidden:  true, // the README and packages use it; the list of commands fits a screen
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

// pageName is the name of the manual page of a command.
func pageName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

func (c *console) writeManual(cmd *cobra.Command, dir string) error {
	path := filepath.Join(dir, pageName(cmd)+".1")
	if err := writeFile(path, manual(cmd), true); err != nil {
		return err
	}
	c.printf("%s\n", path)
	for _, sub := range seen(cmd) {
		if err := c.writeManual(sub, dir); err != nil {
			return err
		}
	}
	return nil
}

// seen returns the commands below cmd that people see.
func seen(cmd *cobra.Command) []*cobra.Command {
	var all []*cobra.Command
	for _, sub := range cmd.Commands() {
		if !sub.Hidden {
			all = append(all, sub)
		}
	}
	return all
}

// exitStatus is the same for every command.
const exitStatus = `0 where the answer is yes, 1 where it is no (a verdict that refuses, a check that found faults, a name that is taken), 2 where there is no answer (bad input, wrong usage, no node).`

// manual returns the page of one command in man(7), from what its help says.
// It bears no date, so that the same source gives the same page. (cobra's own
// writer goes by way of Markdown; starting its parser would cost every
// `vitrine verify` a millisecond.)
func manual(cmd *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, ".TH %q \"1\" \"\" \"vitrine\" \"vitrine manual\"\n", strings.ToUpper(pageName(cmd)))
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", roff(pageName(cmd)), roff(cmd.Short))
	fmt.Fprintf(&b, ".SH SYNOPSIS\n.B %s\n", roff(synopsis(cmd)))
	if cmd.Long != "" {
		fmt.Fprintf(&b, ".SH DESCRIPTION\n")
		for i, par := range strings.Split(strings.TrimSpace(cmd.Long), "\n\n") {
			if i > 0 {
				b.WriteString(".PP\n")
			}
			b.WriteString(roff(par) + "\n")
		}
	}
	if subs := seen(cmd); len(subs) > 0 {
		b.WriteString(".SH COMMANDS\n")
		for _, sub := range subs {
			fmt.Fprintf(&b, ".TP\n.B %s\n%s\n", roff(sub.Name()), roff(sub.Short))
		}
	}
	b.WriteString(".SH OPTIONS\n")
	flags := cmd.Flags()
	flags.AddFlagSet(cmd.InheritedFlags())
	flags.AddFlagSet(cmd.PersistentFlags())
	flags.VisitAll(func(f *pflag.Flag) { option(&b, f) })
	if cmd.Example != "" {
		fmt.Fprintf(&b, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	fmt.Fprintf(&b, ".SH EXIT STATUS\n%s\n", roff(exitStatus))
	if cmd.HasParent() {
		fmt.Fprintf(&b, ".SH SEE ALSO\n.BR %s (1)\n", roff(pageName(cmd.Parent())))
	}
	return b.Bytes()
}

func synopsis(cmd *cobra.Command) string {
	if len(seen(cmd)) > 0 {
		return cmd.CommandPath() + " COMMAND"
	}
	return cmd.UseLine()
}

// option writes one flag.
func option(b *bytes.Buffer, f *pflag.Flag) {
	value, text := pflag.UnquoteUsage(f)
	name := "\\-\\-" + roff(f.Name)
	if f.Shorthand != "" {
		name = "\\-" + roff(f.Shorthand) + ", " + name
	}
	fmt.Fprintf(b, ".TP\n\\fB%s\\fR", name)
	if value != "" {
		fmt.Fprintf(b, " \\fI%s\\fR", roff(value))
	}
	fmt.Fprintf(b, "\n%s\n", roff(text))
}

// roff writes text so that troff reads it as it is: no line of it is a request.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "…", "...").Replace(s)
	lines := strings.Split(s, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
