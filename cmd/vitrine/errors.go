package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"unicode"

	"github.com/spf13/cobra"

	"vitrine.example/internal/backup"
	"vitrine.example/internal/centre"
	"vitrine.example/internal/clock"
	"vitrine.example/internal/content"
	"vitrine.example/internal/ledger"
	"vitrine.example/internal/release"
	"vitrine.example/internal/store"
)

// The exit statuses.
const (
	exitYes  = 0 // accepted, done
	exitNo   = 1 // refused, or a check found faults
	exitNone = 2 // no answer: bad input, wrong usage, no node
)

// exitError is an error with what else a command knows of it.
type exitError struct {
	error
	code int
	hint string
}

func (e *exitError) Unwrap() error { return e.error }

// no is the answer no.
func no(err error, hint string, args ...any) error {
	return &exitError{err, exitNo, fmt.Sprintf(hint, args...)}
}

// withHint says what to do about err.
func withHint(err error, hint string, args ...any) error {
	return &exitError{err, exitNone, fmt.Sprintf(hint, args...)}
}

// usage says how a command is used.
func usage(cmd *cobra.Command, err error) error {
	return withHint(err, "see: %s --help", cmd.CommandPath())
}

// known errors of the packages below, with the status and the hint they get.
var known = []struct {
	err  error
	code int
	hint string
}{
	{ledger.ErrHeld, exitNo, "stop the other process; most commands also work while it serves the node"},
	{ledger.ErrFork, exitNo, "sign nothing, keep every copy, and tell the witnesses"},
	{ledger.ErrBehind, exitNo, "find the newest copy, then: vitrine log restore DIR --from URL"},
	{ledger.ErrThere, exitNo, "move the directory of the log away first, if it is not to be kept"},
	{backup.ErrFormat, exitNo, "take another copy of the backup; nothing was put in place"},
	{backup.ErrTooLarge, exitNo, "where you trust the backup, allow more with --max-bytes"},
	{centre.ErrLogLost, exitNone, "vitrine log restore DIR --from URL"},
	{centre.ErrHold, exitNo, "vitrine log resume DIR --from URL, for every witness and mirror of the log"},
	{release.ErrConflict, exitNo, "a release cannot be changed; choose another --version or --seq"},
	{ledger.ErrUnconfirmed, exitNone, "vitrine status DIR names the witnesses; once enough of them answer, a node that is served logs it by itself, and the same command gives the index"},
	{clock.ErrBackwards, exitNone, "set the clock right (timedatectl), or wait until it has caught up; nothing is signed before that"},
	{syscall.ENOSPC, exitNone, "free some space and run the command again; nothing that was acknowledged is lost"},
	{syscall.EDQUOT, exitNone, "free some space and run the command again; nothing that was acknowledged is lost"},
	{store.ErrFull, exitNone, "free some space and run the command again; nothing that was acknowledged is lost"},
	{content.ErrFull, exitNone, "free some space and run the command again; nothing that was acknowledged is lost"},
	{syscall.EROFS, exitNone, "mount the file system writable"},
	{fs.ErrPermission, exitNone, "run it as the user that owns the files"},
	{store.ErrDamaged, exitNone, "keep a copy of the database, move it away, and make it again from the log: vitrine projection rebuild DIR"},
	{store.ErrNewer, exitNone, "use the newer program"},
	{context.Canceled, exitNone, "it was interrupted; run it again to continue"},
}

// exit reports err to people and returns the exit status.
func (c *console) exit(err error) int {
	if err == nil {
		return exitYes
	}
	code, hint := exitNone, ""
	if e := (*exitError)(nil); errors.As(err, &e) {
		code, hint = e.code, e.hint
	} else {
		for _, k := range known {
			if errors.Is(err, k.err) {
				code, hint = k.code, k.hint
				break
			}
		}
	}
	c.say("error: %s", oneLine(err.Error()))
	if hint != "" {
		c.say("hint: %s", oneLine(hint))
	}
	return code
}

// oneLine keeps what others wrote from drawing on a terminal, faking a line, or
// reading otherwise than it is written.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '�'
		}
		return r
	}, strings.TrimSpace(s))
}
