package main

import (
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// console is where a command speaks: results to out, people to err.
type console struct {
	out, err io.Writer
	json     bool
}

// jsonFlag gives cmd the flag --json.
func (c *console) jsonFlag(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&c.json, "json", false, "print the result as JSON")
}

// result prints v as JSON where --json asks for it, else calls words.
func (c *console) result(v any, words func()) error {
	if !c.json {
		words()
		return nil
	}
	b, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("writing JSON: %w", err)
	}
	_, err = c.out.Write(append(b, '\n'))
	return err
}

// printf prints a part of the result.
func (c *console) printf(format string, args ...any) { fmt.Fprintf(c.out, format, args...) }

// say tells people something.
func (c *console) say(format string, args ...any) {
	fmt.Fprintf(c.err, "vitrine: "+format+"\n", args...)
}

// terminal reports whether people watch: only then is anything drawn over.
func (c *console) terminal() bool {
	f, ok := c.err.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// size writes a number of bytes for people.
func size(n int64) string {
	const unit = 1000
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/unit, 0
	for ; f >= unit && i < 4; i++ {
		f /= unit
	}
	return fmt.Sprintf("%.1f %cB", f, "kMGTP"[i])
}

// plural writes a number with its noun.
func plural(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
