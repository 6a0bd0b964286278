package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newRoot(c *console) *cobra.Command {
	cobra.EnableCommandSorting = false
	root := &cobra.Command{
		Use:   "vitrine",
		Short: "publish releases in a transparency log, and verify them offline",
		Long:  `vitrine publishes releases in a transparency log and verifies them offline.`,
		Example: `  vitrine init node --url https://vendor.example
  vitrine release publish --product pkg:generic/app@1.0 --artifact app.tar.gz node
  vitrine policy init --node node -o vitrine-policy.toml
  vitrine verify app.tar.gz --policy vitrine-policy.toml`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		RunE:              needVerb,
		Args:              cobra.ArbitraryArgs,
	}
	root.SetHelpTemplate(helpTemplate)
	root.SetUsageTemplate(helpTemplate)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usage(cmd, err) })
	root.SuggestionsMinimumDistance = 2
	root.PersistentFlags().BoolP("help", "h", false, "show this help")
	root.SetHelpCommand(newHelp())
	root.AddCommand(
		newVerify(c),
		newExplain(c),
		newRelease(c),
		newRecipe(c),
		newRebuild(c),
		newBundle(c),
		newPolicy(c),
		newCircle(c),
		newInit(c),
		newServe(c),
		newWorker(c),
		newStatus(c),
		newLog(c),
		newWitness(c),
		newMirror(c),
		newKey(c),
		newFork(c),
		newJob(c),
		newProjection(c),
		newBackup(c),
		newRestore(c),
		newDoctor(c),
		newConfig(c),
		newVersion(c),
		newCompletion(c),
		newMan(c),
	)
	root.InitDefaultHelpCmd()
	return root
}

// helpTemplate puts the example last, where the eye rests in a terminal.
const helpTemplate = `{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}Usage:
{{- if .Runnable | and (not .HasAvailableSubCommands)}}
  {{.UseLine}}{{end}}
{{- if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND

Commands:
{{- range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}
{{- if .Flags.HasAvailableFlags}}

Flags:
{{.Flags.FlagUsages | trimTrailingWhitespaces}}{{end}}
{{- if .HasExample}}

Example:
{{.Example}}{{end}}
`

// newHelp is `vitrine help COMMAND`, which people try before --help.
func newHelp() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "explain a command",
		Example: `  vitrine help verify`,
		RunE: func(cmd *cobra.Command, args []string) error {
			asked, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return usage(cmd.Root(), fmt.Errorf("no help on %q: there is no such command", strings.Join(args, " ")))
			}
			return asked.Help()
		},
	}
}

// needVerb is what a command does that only groups others.
func needVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		cmd.SetOut(cmd.ErrOrStderr())
		return errors.Join(cmd.Help(), fmt.Errorf("%s needs a command", cmd.CommandPath()))
	}
	err := fmt.Errorf("unknown command %q for %s", args[0], cmd.CommandPath())
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		return withHint(err, "did you mean: %s %s", cmd.CommandPath(), s[0])
	}
	return usage(cmd, err)
}

// group makes a command that only groups others.
func group(name, short, example string, sub ...*cobra.Command) *cobra.Command {
	g := &cobra.Command{Use: name, Short: short, Example: example, RunE: needVerb, Args: cobra.ArbitraryArgs}
	g.SuggestionsMinimumDistance = 2
	g.SetHelpCommand(&cobra.Command{Use: "no-help", Hidden: true})
	g.AddCommand(sub...)
	return g
}

// operands checks that a command has exactly these operands, by name.
func operands(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return usage(cmd, fmt.Errorf("%s is missing", strings.Join(names[len(args):], " and ")))
		}
		if len(args) > len(names) {
			return usage(cmd, fmt.Errorf("unexpected argument %q", args[len(names)]))
		}
		return nil
	}
}

// need checks that flags were given.
func need(cmd *cobra.Command, flags ...string) error {
	for _, name := range flags {
		if !cmd.Flags().Changed(name) {
			return usage(cmd, fmt.Errorf("--%s is missing", name))
		}
	}
	return nil
}
