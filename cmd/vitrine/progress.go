package main

import (
	"sync"

	"github.com/schollz/progressbar/v3"

	"vitrine.example/internal/release"
)

// progress shows people how far something is: a bar on a terminal, one line a
// stage elsewhere.
type progress struct {
	c     *console
	mu    sync.Mutex
	stage string
	bar   *progressbar.ProgressBar
}

// stages says what is being done in words, and whether it is counted in bytes.
var stages = map[string]struct {
	doing string
	bytes bool
}{
	release.StageArtifacts: {"hashing the artifacts", true},
	release.StageSource:    {"taking a snapshot of the source", true},
	release.StageLog:       {"waiting until the log has published it", false},
	stageCheck:             {"checking the log's entries", false},
}

// stageCheck is the stage of `vitrine log check`.
const stageCheck = "check"

func (c *console) progress() *progress { return &progress{c: c} }

// at is told that a stage has done this much of total; total is -1 where it is
// not known.
func (p *progress) at(stage string, done, total int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if stage != p.stage {
		p.finish()
		p.stage = stage
		p.start(total)
	}
	if p.bar != nil {
		p.bar.ChangeMax64(total)
		_ = p.bar.Set64(done)
	}
}

func (p *progress) start(total int64) {
	doing, bytes := p.stage, true
	if s, ok := stages[p.stage]; ok {
		doing, bytes = s.doing, s.bytes
	}
	switch {
	case p.c.terminal():
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.c.err),
			progressbar.OptionSetDescription(oneLine(doing)),
			progressbar.OptionShowBytes(bytes),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionFullWidth(),
		)
	case total > 0 && bytes:
		p.c.say("%s (%s)", oneLine(doing), size(total))
	default:
		p.c.say("%s", oneLine(doing))
	}
}

// end takes the bar off the terminal.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finish()
}

func (p *progress) finish() {
	if p.bar != nil {
		_ = p.bar.Finish()
		p.bar = nil
	}
}
