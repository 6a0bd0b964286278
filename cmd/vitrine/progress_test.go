package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"vitrine.example/internal/release"
)

func TestBar(t *testing.T) {
	for _, tt := range []struct {
		done, total int64
		bytes       bool
		took        time.Duration
		want        string
	}{
		{0, 100, false, 0, "x  [                    ]   0%  0 of 100"},
		{50, 100, false, time.Hour, "x  [##########          ]  50%  50 of 100"},
		{5e6, 1e7, true, 5 * time.Second, "x  [##########          ]  50%  5.0 MB of 10.0 MB  1.0 MB/s"},
		{200, 100, false, 0, "x  [####################] 100%  100 of 100"},
		{-1, 100, false, 0, "x  [                    ]   0%  0 of 100"},
		{1500, -1, true, 0, "x  1.5 kB"},
		{7, 0, false, 0, "x  7"},
	} {
		if got := bar("x", tt.done, tt.total, tt.bytes, tt.took); got != tt.want {
			t.Errorf("bar(%d of %d): %q, want %q", tt.done, tt.total, got, tt.want)
		}
	}
}

// TestProgressOffATerminalIsPlainLines: one line a stage, nothing drawn over.
func TestProgressOffATerminalIsPlainLines(t *testing.T) {
	c := silent()
	p := c.progress()
	for i := range int64(100) {
		p.at(release.StageArtifacts, i*10, 1000)
	}
	p.at(release.StageSource, 0, -1)
	p.at(release.StageLog, 0, 1)
	p.at(release.StageLog, 1, 1)
	p.end()
	want := "vitrine: hashing the artifacts (1.0 kB)\nvitrine: taking a snapshot of the source\nvitrine: waiting until the log has published it\n"
	if got := c.err.(*bytes.Buffer).String(); got != want {
		t.Errorf("got %q", got)
	}
}

// TestProgressOnATerminalLeavesNothing: a bar is drawn over and wiped.
func TestProgressOnATerminalLeavesNothing(t *testing.T) {
	c := silent()
	p := &progress{c: c, live: true}
	p.at(release.StageArtifacts, 0, 1000)
	p.at(release.StageSource, 0, -1)
	p.end()
	got := c.err.(*bytes.Buffer).String()
	if !strings.Contains(got, "hashing the artifacts  [") || strings.Contains(got, "\n") || !strings.HasSuffix(got, "\r\x1b[K") {
		t.Errorf("got %q", got)
	}
}

func TestOneLineKeepsATerminalSafe(t *testing.T) {
	for in, want := range map[string]string{
		"plain":            "plain",
		"a\nvitrine: fake": "a vitrine: fake",
		"a\x1b[31mred":     "a�[31mred",
		"a\u202egnp.exe":   "a�gnp.exe",
		"a\u009b31m":       "a�31m",
		"a\u200eb\u2028c":  "a�b�c",
		"a\u00a0b\ufeff":   "a�b�",
		"é 世界 🔒":           "é 世界 🔒",
		"\xff":             "�",
		"  ends  ":         "ends",
	} {
		if got := oneLine(in); got != want {
			t.Errorf("oneLine(%q) = %q, want %q", in, got, want)
		}
	}
}
