package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"vitrine.example/internal/rebuild"
	"vitrine.example/internal/recipe"
	"vitrine.example/internal/recipe/draft"
	"vitrine.example/internal/release"
)

// stages says what is being done in words, and whether it is counted in bytes.
var stages = map[string]struct {
	doing string
	bytes bool
}{
	release.StageArtifacts: {"hashing the artifacts", true},
	release.StageSource:    {"taking a snapshot of the source", true},
	release.StageLog:       {"waiting until the log has published it", false},
	stageCheck:             {"checking the log's entries", false},
	stageRebuild:           {"reading the log's entries", false},
	stageBackup:            {"writing the backup", true},
	stageRevival:           {"reading and verifying the backup", true},
	stageRestore:           {"fetching and verifying the log's files", false},
	recipe.StageGather:     {"fetching what goes in", true},
	draft.StageDraft:       {"fetching what goes in, to find its digests", true},
	stageSource:            {"reading the source", true},
	rebuild.StageInputs:    {"making the root file system", true},
	rebuild.StageRun:       {"building in a sandbox without a network", false},
	rebuild.StageCompare:   {"comparing with what was shipped", false},
}

// stageCheck is the stage of `vitrine log check`.
const stageCheck = "check"

// stageRebuild is the stage of `vitrine projection rebuild`.
const stageRebuild = "rebuild"

// progress shows people how far something is: a bar on a terminal, one line a
// stage elsewhere.
type progress struct {
	c     *console
	drawn bool // there is a bar on the terminal
	live  bool // on a terminal

	mu    sync.Mutex
	stage string
	doing string
	bytes bool
	since time.Time // of the stage
	last  time.Time // when the bar was drawn
}

func (c *console) progress() *progress { return &progress{c: c, live: c.terminal()} }

// redraw is how often a bar is drawn.
const redraw = 100 * time.Millisecond

// at is told that a stage has done this much of total; total is -1 where it is
// not known.
func (p *progress) at(stage string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if stage != p.stage {
		p.start(stage, total, now)
	}
	if p.live && now.Sub(p.last) >= redraw {
		p.wipe()
		p.last, p.drawn = now, true
		fmt.Fprint(p.c.err, bar(p.doing, done, total, p.bytes, now.Sub(p.since)))
	}
}

func (p *progress) start(stage string, total int64, now time.Time) {
	p.wipe()
	p.stage, p.doing, p.bytes, p.since, p.last = stage, stage, true, now, time.Time{}
	if s, ok := stages[stage]; ok {
		p.doing, p.bytes = s.doing, s.bytes
	}
	p.doing = oneLine(p.doing)
	switch {
	case p.live: // at draws
	case p.bytes && total > 0:
		p.c.say("%s (%s)", p.doing, size(total))
	default:
		p.c.say("%s", p.doing)
	}
}

// end takes the bar off the terminal.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wipe()
}

// wipe clears the line with the bar.
func (p *progress) wipe() {
	if p.drawn {
		_, _ = io.WriteString(p.c.err, "\r\x1b[K")
		p.drawn = false
	}
}

// bar draws one line: what is done, a bar and the share where the total is
// known, how much, and how fast where bytes are counted.
func bar(doing string, done, total int64, bytes bool, took time.Duration) string {
	count := func(n int64) string {
		if bytes {
			return size(n)
		}
		return fmt.Sprint(n)
	}
	line := doing + "  "
	if total > 0 {
		const width = 20
		done = min(max(done, 0), total)
		full := int(float64(done) / float64(total) * width)
		line += fmt.Sprintf("[%s%s] %3.0f%%  %s of %s", strings.Repeat("#", full), strings.Repeat(" ", width-full),
			100*float64(done)/float64(total), count(done), count(total))
	} else {
		line += count(done)
	}
	if bytes && took > time.Second {
		line += fmt.Sprintf("  %s/s", size(int64(float64(done)/took.Seconds())))
	}
	return line
}
