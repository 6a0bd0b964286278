package main

import (
	"sync"

	"github.com/schollz/progressbar/v3"
)

// progress shows people how far something is: a bar on a terminal, one line a
// stage elsewhere.
type progress struct {
	c     *console
	mu    sync.Mutex
	stage string
	bar   *progressbar.ProgressBar
}

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
	switch {
	case p.c.terminal():
		p.bar = progressbar.NewOptions64(total,
			progressbar.OptionSetWriter(p.c.err),
			progressbar.OptionSetDescription(oneLine(p.stage)),
			progressbar.OptionShowBytes(true),
			progressbar.OptionClearOnFinish(),
			progressbar.OptionFullWidth(),
		)
	case total > 0:
		p.c.say("%s (%s)", oneLine(p.stage), size(total))
	default:
		p.c.say("%s", oneLine(p.stage))
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
