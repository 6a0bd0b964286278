package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// speaker tells people what goes wrong in a node behind a command, in one line
// like those of the command itself.
type speaker struct {
	c     *console
	attrs string
}

// logger is for nodes behind commands; one that is served has a journal.
func (c *console) logger() *slog.Logger { return slog.New(&speaker{c: c}) }

// Enabled implements slog.Handler.
func (s *speaker) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }

// Handle implements slog.Handler.
func (s *speaker) Handle(_ context.Context, r slog.Record) error {
	word := "warning"
	if r.Level >= slog.LevelError {
		word = "problem" // a command that fails says error itself, once
	}
	var own strings.Builder
	r.Attrs(func(a slog.Attr) bool {
		own.WriteString(written(a))
		return true
	})
	s.c.say("%s: %s", word, oneLine(r.Message+s.attrs+own.String()))
	return nil
}

// WithAttrs implements slog.Handler.
func (s *speaker) WithAttrs(attrs []slog.Attr) slog.Handler {
	more := &speaker{s.c, s.attrs}
	for _, a := range attrs {
		more.attrs += written(a)
	}
	return more
}

// WithGroup implements slog.Handler; people need no groups.
func (s *speaker) WithGroup(string) slog.Handler { return s }

func written(a slog.Attr) string {
	if a.Key == "err" {
		return fmt.Sprintf(": %s", a.Value)
	}
	return fmt.Sprintf(", %s %s", a.Key, a.Value)
}
