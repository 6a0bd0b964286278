// Command vitrine is a transparency node and its tools in one binary.
//
// Start with `vitrine init` and `vitrine release publish`; customers need
// `vitrine verify` alone. Each verb is one file here and holds flags, words and
// exit codes, no logic: that is in the packages below.
//
// Promises: results go to stdout, everything for people to stderr. The exit
// status is 0 where the answer is yes, 1 where it is no (a verdict that
// refuses, a check that found faults, a name that is taken), and 2 where there
// is no answer (bad input, wrong usage, no node). `vitrine verify` opens no
// socket.
package main

import (
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"vitrine.example/internal/sandbox"
)

func main() {
	sandbox.Enter() // never returns in the processes that a sandbox is made of
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run runs one command line and returns its exit status.
func run(args []string, stdout, stderr io.Writer) int {
	ctx := context.Background()
	if len(args) == 0 || args[0] != "verify" { // which has nothing to tidy up, and is in a hurry
		var stop func()
		ctx, stop = signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal kills
	}
	c := &console{out: stdout, err: stderr}
	root := newRoot(c)
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		forShells(root)
	}
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return c.exit(root.ExecuteContext(ctx))
}
