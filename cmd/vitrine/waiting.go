package main

import (
	"context"
	"time"

	"vitrine.example/internal/centre"
	"vitrine.example/internal/ledger"
)

// waitTold is how often a command that waits for the log looks what it waits for.
const waitTold = 2 * time.Second

// tellWaiting says what the log waits for, when it changes, until stop is called:
// a command that opens a node of its own would else be silent until it gives up.
func (c *console) tellWaiting(ctx context.Context, h *centre.Handle) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(waitTold)
		defer t.Stop()
		for told := ""; ; {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			s, err := h.Status(ctx)
			if err != nil {
				continue // the command itself will say so
			}
			if now := waitsFor(s.Ledger); now != "" && now != told {
				told = now
				c.say("waiting: %s", oneLine(now))
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// waitsFor says what keeps a log from taking or publishing entries, or "".
func waitsFor(s ledger.Status) string {
	switch {
	case s.Unconfirmed != "":
		return s.Unconfirmed
	case s.Refusal != "":
		return "checkpoints are not signed: " + s.Refusal
	case s.Awaiting != "" && s.Sequenced > s.Published:
		return "sequenced, awaiting " + s.Awaiting
	}
	return ""
}
