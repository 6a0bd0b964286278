package main

import (
	"bytes"
	"errors"
	"log/slog"
	"testing"
)

func TestSpeaker(t *testing.T) {
	var out bytes.Buffer
	c := &console{out: &out, err: &out}
	log := c.logger().With("node", "n").WithGroup("g")
	log.Info("nobody needs this")
	log.Warn("slow", "index", 7)
	log.Error("it broke", "err", errors.New("reading x:\nno\x1b[2Jway"))
	slog.New(log.Handler()).Warn("plain")
	want := "vitrine: warning: slow, node n, index 7\n" +
		"vitrine: problem: it broke, node n: reading x: no�[2Jway\n" +
		"vitrine: warning: plain, node n\n"
	if out.String() != want {
		t.Errorf("said %q, want %q", &out, want)
	}
}
